"""The wheel that goes into images: when it is built anew, and how uv is asked for it."""

import sys
import tomllib
from pathlib import Path

import pytest

from user_analytics.cluster import wheel
from user_analytics.cluster.wheel import CHECKOUT, SOURCES, build_wheel
from user_analytics.errors import ClusterError


def test_every_folder_that_goes_into_the_wheel_is_a_part_of_its_identity() -> None:
    with (CHECKOUT / "pyproject.toml").open("rb") as file:
        wheel = tomllib.load(file)["tool"]["hatch"]["build"]["targets"]["wheel"]

    assert {*wheel["packages"], *wheel["force-include"]} <= set(SOURCES)


class Uv:
    """In uv's place beside this Python: fails with the cache alone and with the index as it is told to."""

    def __init__(self, folder: Path) -> None:
        self._calls = folder / "calls"
        self._program = folder / "uv"
        self.fails()

    def fails(self, *, by_cache: bool = False, by_index: bool = False) -> None:
        self._program.write_text(
            f"""#!/bin/sh
            set -eu
            [ "$1 $2 $3" = "build --wheel --out-dir" ]
            case "$*" in
              *--offline*) echo cache >>{self._calls}; [ {int(by_cache)} = 0 ] || {{ echo not there >&2; exit 1; }} ;;
              *) echo index >>{self._calls}; [ {int(by_index)} = 0 ] || {{ echo no way out >&2; exit 1; }} ;;
            esac
            mkdir "$4"
            echo wheel >"$4/user_analytics.whl"
            """
        )
        self._program.chmod(0o755)

    def asked(self) -> list[str]:
        return self._calls.read_text().split()


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Uv:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(wheel, "WHEELS", tmp_path / "wheels")
    return Uv(tmp_path)


def test_it_is_built_without_the_index_where_the_cache_has_what_it_is_built_with(uv: Uv, tmp_path: Path) -> None:
    build_wheel(tmp_path / "built")

    assert uv.asked() == ["cache"]
    assert (tmp_path / "built" / "user_analytics.whl").read_text() == "wheel\n"


def test_it_is_built_with_the_index_where_the_cache_lacks_something(uv: Uv, tmp_path: Path) -> None:
    uv.fails(by_cache=True)

    build_wheel(tmp_path / "built")

    assert uv.asked() == ["cache", "index"]
    assert (tmp_path / "built" / "user_analytics.whl").read_text() == "wheel\n"


def test_why_neither_way_led_to_it_is_told(uv: Uv, tmp_path: Path) -> None:
    uv.fails(by_cache=True, by_index=True)

    with pytest.raises(ClusterError) as raised:
        build_wheel(tmp_path / "built")

    assert str(raised.value) == "uv cannot build the wheel:\nno way out\nNor by its cache alone:\nnot there"


def test_it_is_built_once_for_the_same_sources(uv: Uv, tmp_path: Path) -> None:
    build_wheel(tmp_path / "built")
    build_wheel(tmp_path / "again")

    assert uv.asked() == ["cache"]
    assert (tmp_path / "again" / "user_analytics.whl").exists()
