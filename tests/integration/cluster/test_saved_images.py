"""An archive of images is read while the engine makes it."""

import json
import shutil
import tarfile
from io import BytesIO

import pytest

from user_analytics.cluster.base_image import own_base_image
from user_analytics.cluster.engine import has_image, saved_images
from user_analytics.errors import ClusterError

pytestmark = pytest.mark.skipif(
    shutil.which("podman") is None or not has_image(own_base_image()), reason="no podman, or no image: make images"
)


def test_it_holds_the_images_under_the_names_that_were_asked_for() -> None:
    with saved_images([own_base_image()]) as stream:
        archive = BytesIO(stream.read())

    with tarfile.open(fileobj=archive) as files:
        manifest = files.extractfile("manifest.json")
        assert manifest is not None
        assert [image["RepoTags"] for image in json.load(manifest)] == [[own_base_image()]]


def test_an_image_that_is_not_there_is_an_error_that_names_it() -> None:
    with (
        pytest.raises(ClusterError, match=r"podman save failed:\n.*localhost/user-analytics/none:1"),
        saved_images(["localhost/user-analytics/none:1"]) as archive,
    ):
        archive.read()


def test_a_reader_that_fails_ends_the_saving_and_both_say_why() -> None:
    with (
        pytest.raises(ClusterError, match=r"the disk of the node is full\npodman save failed"),
        saved_images([own_base_image()]),
    ):
        raise ClusterError("the disk of the node is full")
