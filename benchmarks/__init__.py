"""Ratios of the pipeline's parts to named floors and peers."""
