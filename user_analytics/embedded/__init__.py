"""The embedded stack of `make run`: Postgres and the BigQuery emulator as local processes under `.run/`."""
