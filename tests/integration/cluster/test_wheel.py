"""The wheel that goes into images, built by uv."""

from pathlib import Path

import pytest

from user_analytics.cluster import wheel


def test_one_of_changed_sources_is_built_without_a_way_out_once_the_cache_has_what_it_is_built_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheel, "WHEELS", tmp_path / "first")
    wheel.build_wheel(tmp_path / "one")
    for variable in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # where nobody listens
    monkeypatch.setattr(wheel, "WHEELS", tmp_path / "second")

    wheel.build_wheel(tmp_path / "another")

    assert [file.name for file in (tmp_path / "another").iterdir()] == [
        file.name for file in (tmp_path / "one").iterdir()
    ]
