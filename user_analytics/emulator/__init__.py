"""The BigQuery emulator: PyPI's bqemulator, started with the corrections this pipeline depends on.

Each module corrects one behaviour of the pinned release and says how to see whether a newer one still needs it.
"""
