"""Tests on real BigQuery, outside the default run: `make test-cloud GCP_PROJECT=…`."""
