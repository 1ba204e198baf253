"""What is said, what goes together and what side by side, when images are loaded into the node."""

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any

import pytest

from user_analytics.cluster import kind, load
from user_analytics.cluster.catalogue import workload_images
from user_analytics.cluster.images import Image
from user_analytics.cluster.load import ensure_loaded
from user_analytics.errors import ClusterError

MINIO, POSTGRES, INGEST = Image("minio"), Image("postgres"), Image("ingest")
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


def names_of(*images: Image) -> list[str]:
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
    assert asked == [("name", *names_of(MINIO))]
    assert capsys.readouterr().err == ""


def test_what_two_images_have_of_one_base_is_loaded_once(asked: Asked) -> None:
    assert ensure_loaded([SPARK, MINIO, OPERATOR], set()) == ["spark", "spark-operator", "minio"]
    assert sorted(asked) == [("load", *names_of(MINIO)), ("load", *names_of(SPARK, OPERATOR))]


def test_of_two_images_with_one_base_only_the_new_one_is_loaded(asked: Asked) -> None:
    assert ensure_loaded([SPARK, OPERATOR], {SPARK.reference()}) == ["spark-operator"]
    assert asked == [("name", *names_of(SPARK)), ("load", *names_of(OPERATOR))]


def test_two_are_loaded_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    both = Barrier(2, timeout=20)
    monkeypatch.setattr(kind, "load_images", lambda _: both.wait())

    assert ensure_loaded([MINIO, POSTGRES], set()) == ["minio", "postgres"]


def test_one_is_loaded_while_the_next_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    both = Barrier(2, timeout=20)
    monkeypatch.setattr(load, "build", lambda image: both.wait() if image == POSTGRES else None)
    monkeypatch.setattr(kind, "load_images", lambda names: both.wait() if names == [*names_of(MINIO)] else None)

    assert ensure_loaded([MINIO, POSTGRES], set()) == ["minio", "postgres"]


def test_one_that_cannot_be_built_is_told_when_those_under_way_are_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    is_loading, failed = Event(), Event()
    loaded: list[str] = []

    def build(image: Image) -> None:
        if image == POSTGRES:
            is_loading.wait(20)
            failed.set()
            raise ClusterError("cannot build postgres")

    def load_images(names: Sequence[str]) -> None:
        is_loading.set()
        failed.wait(20)
        time.sleep(0.2)  # it is still loading when the failure is seen
        loaded.extend(names)

    monkeypatch.setattr(load, "build", build)
    monkeypatch.setattr(kind, "load_images", load_images)

    with pytest.raises(ClusterError, match=r"^cannot build postgres$"):
        ensure_loaded([MINIO, POSTGRES], set())
    assert loaded == names_of(MINIO)
    assert "Waiting for the images that are being loaded" in capsys.readouterr().err


def test_after_one_that_could_not_be_loaded_no_further_one_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = Event()
    begun: list[str] = []

    def load_images(names: Sequence[str]) -> None:
        begun.append(names[0])
        if names[0] == MINIO.reference():
            failed.wait(20)
            time.sleep(0.2)  # for a further one to begin
        else:
            failed.set()
            raise ClusterError("no space left")

    monkeypatch.setattr(kind, "load_images", load_images)

    with pytest.raises(ClusterError, match=r"^no space left$"):
        ensure_loaded([MINIO, POSTGRES, INGEST], set())
    assert sorted(begun) == [MINIO.reference(), POSTGRES.reference()]


def test_after_one_that_could_not_be_loaded_no_further_one_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = Event()
    built: list[str] = []

    class Telling(ThreadPoolExecutor):
        def submit(self, *arguments: Any, **named: Any) -> Future[Any]:
            future = super().submit(*arguments, **named)
            future.add_done_callback(lambda _: is_over.set())
            return future

    def build(image: Image) -> None:
        built.append(image.name)
        if image == POSTGRES:
            is_over.wait(20)

    def load_images(_: Sequence[str]) -> None:
        raise ClusterError("no space left")

    monkeypatch.setattr(load, "ThreadPoolExecutor", Telling)
    monkeypatch.setattr(load, "build", build)
    monkeypatch.setattr(kind, "load_images", load_images)

    with pytest.raises(ClusterError, match=r"^no space left$"):
        ensure_loaded([MINIO, POSTGRES, INGEST], set())
    assert INGEST.name not in built


def test_the_images_on_spark_are_on_one_base() -> None:
    images = workload_images()

    assert images["spark"].base is not None
    assert images["spark"].base == images["spark-operator"].base
