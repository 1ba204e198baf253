"""What the DAGs are made of: how they are set up, their operators, links and alerts."""
