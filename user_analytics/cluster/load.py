"""Images from the engine's store into the cluster's node."""

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

from user_analytics.cluster import kind
from user_analytics.cluster.images import Image, build
from user_analytics.cluster.messages import say

# One alone keeps neither the engine nor the node at work all the time: what the one has read, the other waits for.
LOADS_AT_ONCE = 2


def ensure_loaded(images: Iterable[Image], loaded: set[str]) -> list[str]:
    """Build the images and load into the node what is not among `loaded`, the names there; the names of those.

    Images on one base go together: what they share goes once. They are loaded while others are built. Raises
    ClusterError.
    """
    by_base: dict[Image, list[Image]] = {}
    for image in images:
        by_base.setdefault(image.base or image, []).append(image)
    loads: dict[Future[None], list[Image]] = {}
    enough = Event()
    with ThreadPoolExecutor(LOADS_AT_ONCE) as pool:
        try:
            for group in by_base.values():
                if new := _new(group, loaded):
                    loads[pool.submit(_load, new, enough)] = new
                if enough.is_set():
                    break
            for load in loads:
                load.result()
        except BaseException:
            enough.set()
            if any(load.running() for load in loads):
                say("Waiting for the images that are being loaded")
            raise
    return [image.name for new in loads.values() for image in new]


def _new(images: Iterable[Image], loaded: set[str]) -> list[Image]:
    """Those that are to be loaded; the others get their name by version."""
    new = []
    for image in images:
        build(image)
        if image.reference() in loaded:
            kind.name_image(image.reference(), image.versioned_reference())
        else:
            new.append(image)
    return new


def _load(images: Iterable[Image], enough: Event) -> None:
    """Load images unless it is `enough`, as it is once some could not be loaded."""
    if enough.is_set():
        return
    say(f"Loading image {' and '.join(image.name for image in images)}")
    try:
        kind.load_images([name for image in images for name in (image.reference(), image.versioned_reference())])
    except BaseException:
        enough.set()  # here, before this thread takes the next ones
        raise
