"""The archive of images that a real podman makes."""

import json
import shutil
import tarfile
from io import BytesIO
from uuid import uuid4

import pytest

from user_analytics.cluster.base_image import own_base_image
from user_analytics.cluster.engine import has_image, run, saved_images, tag_image

pytestmark = pytest.mark.skipif(
    shutil.which("podman") is None or not has_image(own_base_image()),
    reason="podman or its base image is missing: make test-tools",
)


def test_it_holds_all_images_under_the_names_that_were_asked_for() -> None:
    other = f"localhost/user-analytics-test/{uuid4().hex}:1"
    tag_image(own_base_image(), other)
    try:
        with saved_images([own_base_image(), other]) as stream:
            archive = BytesIO(stream.read())
    finally:
        run("untag", own_base_image(), other)

    with tarfile.open(fileobj=archive) as files:
        manifest = files.extractfile("manifest.json")
        assert manifest is not None
        assert {name for image in json.load(manifest) for name in image["RepoTags"]} == {own_base_image(), other}
