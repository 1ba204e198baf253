"""The warehouse: BigQuery tables, staging, the audit, the publish transaction and the views."""
