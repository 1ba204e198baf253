"""Jars: fetched once, as pinned or not at all. Maven is a script here, so that it can fail."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from user_analytics.spark import jars

CONTENT = b"a jar"
PIN = f"org.example:thing:1.2 {hashlib.sha256(CONTENT).hexdigest()}\n"

CHECKOUT = Path(__file__).parents[3]


class Maven:
    """A `mvn` on the PATH that copies a file, or fails."""

    def __init__(self, directory: Path) -> None:
        self._program = directory / "mvn"
        self._calls = directory / "calls"

    def gives(self, content: bytes) -> None:
        source = self._program.with_name("content")
        source.write_bytes(content)
        self._write(f'for last; do :; done; cp "{source}" "${{last#-DoutputDirectory=}}/thing-1.2.jar"')

    def fails(self) -> None:
        self._write("echo '[ERROR] Could not find artifact org.example:thing:jar:1.2'; exit 1")

    @property
    def calls(self) -> int:
        return len(self._calls.read_text().splitlines()) if self._calls.exists() else 0

    def _write(self, script: str) -> None:
        self._program.write_text(f'#!/bin/sh\necho called >> "{self._calls}"\n{script}\n')
        self._program.chmod(0o755)


@pytest.fixture
def maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Maven:
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
    return Maven(directory)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "user-analytics" / "jars"


@pytest.fixture
def pins(tmp_path: Path) -> Path:
    file = tmp_path / "jars.txt"
    file.write_text(f"# a comment\n\n{PIN}")
    return file


def test_a_jar_is_fetched_once(maven: Maven, cache: Path, pins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maven.gives(CONTENT)
    assert [jars.main([str(pins)]) for _ in range(2)] == [0, 0]
    assert [path.name for path in cache.iterdir()] == ["thing-1.2.jar"]
    assert capsys.readouterr().out == f"Fetched thing-1.2.jar in {cache}\n"
    assert maven.calls == 1


def test_a_jar_that_was_altered_in_the_cache_is_fetched_again(maven: Maven, cache: Path, pins: Path) -> None:
    maven.gives(CONTENT)
    cache.mkdir(parents=True)
    (cache / "thing-1.2.jar").write_bytes(b"half a j")
    assert jars.main([str(pins)]) == 0
    assert (cache / "thing-1.2.jar").read_bytes() == CONTENT


def test_a_jar_with_another_hash_is_refused_and_not_kept(
    maven: Maven, cache: Path, pins: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    maven.gives(b"another jar")
    assert jars.main([str(pins)]) == 1
    assert "org.example:thing:1.2 has SHA-256" in capsys.readouterr().err
    assert list(cache.iterdir()) == []


def test_what_maven_says_is_passed_on(
    maven: Maven, cache: Path, pins: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    maven.fails()
    assert jars.main([str(pins)]) == 1
    assert "could not fetch org.example:thing:1.2: Could not find artifact" in capsys.readouterr().err


def test_a_missing_maven_is_named_with_what_installs_it(
    cache: Path, pins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert jars.main([str(pins)]) == 1
    assert "sudo apt-get install maven" in capsys.readouterr().err


def test_a_line_that_is_no_pin_is_named(pins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pins.write_text("org.example:thing:1.2\n")
    assert jars.main([str(pins)]) == 1
    assert f"{pins}, line 1: expected `group:artifact:version sha256`" in capsys.readouterr().err


def test_it_runs_before_any_package_is_installed(maven: Maven, cache: Path, pins: Path) -> None:
    maven.gives(CONTENT)
    without_site_packages = [sys.executable, "-S", "-m", "user_analytics.spark.jars", str(pins)]
    subprocess.run(without_site_packages, cwd=CHECKOUT, check=True)
    assert (cache / "thing-1.2.jar").read_bytes() == CONTENT


@pytest.mark.parametrize("half", [None, b"half a j"], ids=["emptied", "altered"])
def test_make_setup_notices_what_became_of_the_cache(maven: Maven, cache: Path, half: bytes | None) -> None:
    maven.fails()
    if half is not None:
        cache.mkdir(parents=True)
        for jar in jars.pinned():
            (cache / jar.file_name).write_bytes(half)

    all_else_is_done = ["--assume-old=.venv/.uv", "--assume-old=.venv/.embedded"]
    ended = subprocess.run(
        ["make", "setup", *all_else_is_done], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )

    assert ended.returncode != 0
    assert f"could not fetch {jars.pinned()[0].coordinates}" in ended.stderr


def test_every_pinned_jar_is_pinned_well() -> None:
    assert [jar.file_name for jar in jars.pinned(jars.PINS)] == ["spark-3.5-bigquery-0.42.1.jar"]
