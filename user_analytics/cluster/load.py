"""Images from the engine's store into the cluster's node."""

from collections.abc import Iterable

from user_analytics.cluster import kind
from user_analytics.cluster.images import Image, build
from user_analytics.cluster.messages import say


def ensure_loaded(images: Iterable[Image], loaded: set[str]) -> list[str]:
    """Build the images and load into the node what is not among `loaded`, the names there; the names of those.

    Images on one base go together: what they share goes once. Raises ClusterError.
    """
    by_base: dict[Image, list[Image]] = {}
    for image in images:
        by_base.setdefault(image.base or image, []).append(image)
    return [image.name for group in by_base.values() for image in _ensure_group_loaded(group, loaded)]


def _ensure_group_loaded(images: list[Image], loaded: set[str]) -> list[Image]:
    new = []
    for image in images:
        build(image)
        if image.reference() in loaded:
            kind.name_image(image.reference(), image.versioned_reference())
        else:
            new.append(image)
    if new:
        say(f"Loading image {' and '.join(image.name for image in new)}")
        kind.load_images([name for image in new for name in (image.reference(), image.versioned_reference())])
    return new
