"""What is said while images go into the node. That they arrive there is for the tests on kind."""

import pytest

from user_analytics.cluster import kind, load
from user_analytics.cluster.images import Image
from user_analytics.cluster.load import ensure_loaded

IMAGE = Image("minio")


@pytest.fixture(autouse=True)
def _no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "build", lambda _: False)
    monkeypatch.setattr(kind, "name_image", lambda *_: None)


def test_an_image_that_is_to_be_loaded_is_said_before_that_takes_its_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said_before: list[str] = []
    monkeypatch.setattr(kind, "load_images", lambda _: said_before.append(capsys.readouterr().err))

    assert ensure_loaded(IMAGE, set())
    assert said_before == ["Loading image minio\n"]


def test_nothing_is_said_of_an_image_that_the_node_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert not ensure_loaded(IMAGE, {IMAGE.reference()})
    assert capsys.readouterr().err == ""
