"""The wheel that goes into images, built by uv."""

import shutil
from pathlib import Path

import pytest

from user_analytics.cluster import wheel


@pytest.fixture(autouse=True)
def _copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is built of a copy: a build compiles the kernel in its place, which other tests use meanwhile."""
    copy = tmp_path / "checkout"
    for source in wheel.SOURCES:
        original = wheel.CHECKOUT / source
        (copy / source).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if original.is_dir() else shutil.copy)(original, copy / source)
    monkeypatch.setattr(wheel, "CHECKOUT", copy)


def test_a_changed_package_is_built_without_a_way_out_once_the_cache_has_what_that_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheel, "WHEELS", tmp_path / "first")
    wheel.build_wheel(tmp_path / "one")
    for variable in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # where nobody listens
    monkeypatch.setattr(wheel, "WHEELS", tmp_path / "second")

    wheel.build_wheel(tmp_path / "another")

    names = [[file.name for file in (tmp_path / folder).iterdir()] for folder in ("one", "another")]
    assert names[0] == names[1]
    assert names[0][0].endswith(".whl")
