"""Images from the engine's store into the cluster's node."""

from user_analytics.cluster import kind
from user_analytics.cluster.images import Image, build
from user_analytics.cluster.messages import say


def ensure_loaded(image: Image, loaded: set[str]) -> bool:
    """Build the image and load it into the node unless `loaded`, the names there, has it; False when it had."""
    build(image)
    if image.reference() in loaded:
        kind.name_image(image.reference(), image.versioned_reference())
        return False
    say(f"Loading image {image.name}")
    kind.load_images([image.reference(), image.versioned_reference()])
    return True
