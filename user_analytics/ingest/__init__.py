"""Ingestion: a review file and the source table become the raw data of a date, checked row by row."""
