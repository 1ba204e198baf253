"""What the Spark applications share: session, raw data, scoring, staging; and how one is started on this machine."""
