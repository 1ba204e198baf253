"""user-analytics: a daily batch pipeline from Postgres and review files to BigQuery."""

__version__ = "0.1.0"
