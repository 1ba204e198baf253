"""What is said, and what goes together, when images are loaded into the node."""

import pytest

from user_analytics.cluster import kind, load
from user_analytics.cluster.catalogue import workload_images
from user_analytics.cluster.images import Image
from user_analytics.cluster.load import ensure_loaded

MINIO = Image("minio")
BASE = Image("spark-base")
SPARK, OPERATOR = Image("spark", base=BASE), Image("spark-operator", base=BASE)
Asked = list[tuple[str, ...]]


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What is asked of the node: the names that go in with one archive, or a name and another one for it."""
    asked: Asked = []
    monkeypatch.setattr(load, "build", lambda _: False)
    # of the folder of an image, which those of these tests do not have
    monkeypatch.setattr(Image, "tag", lambda _: "tag")
    monkeypatch.setattr(kind, "name_image", lambda *names: asked.append(("name", *names)))
    monkeypatch.setattr(kind, "load_images", lambda names: asked.append(("load", *names)))
    return asked


def names(*images: Image) -> list[str]:
    return [name for image in images for name in (image.reference(), image.versioned_reference())]


def test_an_image_that_is_to_be_loaded_is_said_before_that_takes_its_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said_before: list[str] = []
    monkeypatch.setattr(kind, "load_images", lambda _: said_before.append(capsys.readouterr().err))

    assert ensure_loaded([MINIO], set()) == ["minio"]
    assert said_before == ["Loading image minio\n"]


def test_an_image_that_the_node_has_gets_its_name_by_version_and_nothing_is_said(
    asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ensure_loaded([MINIO], {MINIO.reference()}) == []
    assert asked == [("name", *names(MINIO))]
    assert capsys.readouterr().err == ""


def test_what_two_images_have_of_one_base_is_loaded_once(asked: Asked) -> None:
    assert ensure_loaded([SPARK, MINIO, OPERATOR], set()) == ["spark", "spark-operator", "minio"]
    assert asked == [("load", *names(SPARK, OPERATOR)), ("load", *names(MINIO))]


def test_of_two_images_with_one_base_only_the_new_one_is_loaded(asked: Asked) -> None:
    assert ensure_loaded([SPARK, OPERATOR], {SPARK.reference()}) == ["spark-operator"]
    assert asked == [("name", *names(SPARK)), ("load", *names(OPERATOR))]


def test_the_images_on_spark_are_on_one_base() -> None:
    images = workload_images()

    assert images["spark"].base is not None
    assert images["spark"].base == images["spark-operator"].base
