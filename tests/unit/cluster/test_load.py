"""What is said, and what goes together, when images are loaded into the node."""

import pytest

from user_analytics.cluster import kind, load
from user_analytics.cluster.images import Image
from user_analytics.cluster.load import ensure_loaded

MINIO = Image("minio")
BASE = Image("spark-base")
SPARK, OPERATOR = Image("spark", base=BASE), Image("spark-operator", base=BASE)


@pytest.fixture(autouse=True)
def archives(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The images of each archive that is loaded."""
    loaded: list[list[str]] = []
    monkeypatch.setattr(load, "build", lambda _: False)
    monkeypatch.setattr(Image, "tag", lambda _: "tag")
    monkeypatch.setattr(kind, "name_image", lambda *_: None)
    monkeypatch.setattr(kind, "load_images", loaded.append)
    return loaded


def names(*images: Image) -> list[str]:
    return [name for image in images for name in (image.reference(), image.versioned_reference())]


def test_an_image_that_is_to_be_loaded_is_said_before_that_takes_its_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said_before: list[str] = []
    monkeypatch.setattr(kind, "load_images", lambda _: said_before.append(capsys.readouterr().err))

    assert ensure_loaded([MINIO], set()) == ["minio"]
    assert said_before == ["Loading minio\n"]


def test_nothing_is_said_of_an_image_that_the_node_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert ensure_loaded([MINIO], {MINIO.reference()}) == []
    assert capsys.readouterr().err == ""


def test_what_two_images_have_of_one_base_is_loaded_once(archives: list[list[str]]) -> None:
    assert ensure_loaded([MINIO, SPARK, OPERATOR], set()) == ["minio", "spark", "spark-operator"]
    assert archives == [names(MINIO), names(SPARK, OPERATOR)]


def test_of_two_images_with_one_base_only_the_new_one_is_loaded(archives: list[list[str]]) -> None:
    assert ensure_loaded([SPARK, OPERATOR], {SPARK.reference()}) == ["spark-operator"]
    assert archives == [names(OPERATOR)]
