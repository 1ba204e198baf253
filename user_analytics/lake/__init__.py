"""The data lake: object stores, the keys objects live under, and the manifests that make them data."""
