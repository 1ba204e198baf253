"""The pipeline's parts on a kind cluster: tools and images from source, and the cluster they run in."""
