"""Images from the engine's store into the cluster's node."""

from collections.abc import Iterable
from itertools import groupby

from user_analytics.cluster import kind
from user_analytics.cluster.images import Image, build
from user_analytics.cluster.messages import say


def ensure_loaded(images: Iterable[Image], loaded: set[str]) -> list[str]:
    """Build the images and load into the node what is not among `loaded`, the names there; the names of those.

    Those in a row with one base go together: what they share goes once.
    """
    new: list[str] = []
    for _, group in groupby(images, lambda image: image.base or image):
        new += _ensure_group_loaded(list(group), loaded)
    return new


def _ensure_group_loaded(images: list[Image], loaded: set[str]) -> list[str]:
    for image in images:
        build(image)
        if image.reference() in loaded:
            kind.name_image(image.reference(), image.versioned_reference())
    new = [image for image in images if image.reference() not in loaded]
    names = [image.name for image in new]
    if new:
        say(f"Loading {' and '.join(names)}")
        kind.load_images([name for image in new for name in (image.reference(), image.versioned_reference())])
    return names
