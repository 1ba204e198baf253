"""Tests, as specifications of the pipeline."""
