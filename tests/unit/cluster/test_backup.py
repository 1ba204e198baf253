"""A backup is a folder that is whole and undamaged, or it is refused before anything is touched."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from packaging.version import Version

from user_analytics.cluster import backup, backup_folder, restore, servers, volumes
from user_analytics.cluster.backup_folder import CONTENTS, UNFINISHED, prepare, read
from user_analytics.errors import ClusterError, InputError

NAMES = ("minio", "postgres")


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Volumes, which lie here instead of in a node."""
    monkeypatch.setattr(volumes, "inside_node", list)
    folders = {name: tmp_path / "node" / name for name in NAMES}
    for name, folder in folders.items():
        folder.mkdir(parents=True)
        (folder / "content").write_text(f"of {name}")
    return {name: str(folder) for name, folder in folders.items()}


@pytest.fixture
def made(source: dict[str, str], tmp_path: Path) -> Path:
    """A backup."""
    folder = tmp_path / "backup"
    prepare(folder, NAMES)
    backup.back_up(source, folder)
    return folder


def test_a_backup_is_read_as_it_was_written(source: dict[str, str], tmp_path: Path) -> None:
    prepare(tmp_path / "backup", NAMES)
    written = backup.back_up(source, tmp_path / "backup")

    assert read(tmp_path / "backup", NAMES) == written
    assert set(written.volumes) == set(NAMES)
    assert abs((datetime.now(UTC) - written.made).total_seconds()) < 60


def test_it_tells_which_airflow_its_database_is_of(source: dict[str, str], tmp_path: Path) -> None:
    prepare(tmp_path / "backup", NAMES)
    backup.back_up(source, tmp_path / "backup", Version("3.3.2"))

    assert read(tmp_path / "backup", NAMES).airflow == "3.3.2"


def test_one_that_was_made_before_it_told_that_is_read(made: Path) -> None:
    _edit(made, '  "airflow": null,\n', "")

    assert read(made, NAMES).airflow is None


def test_its_archives_hold_the_volumes(made: Path, source: dict[str, str]) -> None:
    with backup_folder.archive(made, "postgres").open("rb") as file:
        volumes.receive(source["postgres"], file)

    assert Path(f"{source['postgres']}.new", "content").read_text() == "of postgres"


def test_nobody_else_can_read_it(made: Path) -> None:
    assert made.stat().st_mode & 0o077 == 0
    assert all(file.stat().st_mode & 0o077 == 0 for file in made.iterdir())


def _shorten(folder: Path) -> None:
    file = folder / "minio.tar"
    os.truncate(file, file.stat().st_size - 1)


def _change_a_bit(folder: Path) -> None:
    with (folder / "minio.tar").open("r+b") as file:
        file.seek(600)
        byte = file.read(1)[0]
        file.seek(600)
        file.write(bytes([byte ^ 1]))


DAMAGES: dict[str, Callable[[Path], None]] = {
    "minio.tar is damaged: it has .* bytes, not": _shorten,
    "minio.tar is damaged: its SHA-256 is another one": _change_a_bit,
    "minio.tar is missing": lambda folder: (folder / "minio.tar").unlink(),
    "is no complete backup: it has no backup.json": lambda folder: (folder / CONTENTS).unlink(),
    "backup.json is damaged, or of another version: .*JSON": lambda folder: _edit(folder, "{", "["),
    "backup.json is damaged, or of another version: format: ": lambda folder: _edit(
        folder, '"format": 1', '"format": 2'
    ),
    "another version: airflow: .*Invalid version": lambda folder: _edit(folder, '"airflow": null', '"airflow": "new"'),
    "holds database, minio, not minio, postgres": lambda folder: _edit(folder, '"postgres"', '"database"'),
    "another version: volumes.*: String should match": lambda folder: _edit(folder, '"minio"', '"../minio"'),
}


def _edit(folder: Path, text: str, other: str) -> None:
    file = folder / CONTENTS
    file.write_text(file.read_text().replace(text, other, 1))


@pytest.mark.parametrize("message", DAMAGES)
def test_a_backup_that_is_damaged_is_refused_by_name(made: Path, message: str) -> None:
    DAMAGES[message](made)

    with pytest.raises(InputError, match=message):
        read(made, NAMES)


def test_a_folder_that_does_not_exist_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere is no folder"):
        read(tmp_path / "nowhere", NAMES)


def test_another_backup_is_never_overwritten(made: Path) -> None:
    with pytest.raises(InputError, match="holds a backup already: name another folder"):
        prepare(made, NAMES)


def test_what_is_no_backup_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()

    with pytest.raises(InputError, match=r"holds thesis\.tex, which is no part of a backup"):
        prepare(tmp_path, NAMES)


def test_a_file_that_is_only_called_like_an_archive_of_ours_stays(tmp_path: Path) -> None:
    mine = tmp_path / "postgres.tar"
    mine.write_text("mine")

    with pytest.raises(InputError, match=r"holds postgres\.tar, which is no part of a backup"):
        prepare(tmp_path, NAMES)
    assert mine.read_text() == "mine"


def test_what_lies_beside_an_interrupted_backup_stays(tmp_path: Path) -> None:
    prepare(tmp_path, NAMES)
    (tmp_path / "minio.tar").touch()
    (tmp_path / "thesis.tex").touch()

    with pytest.raises(InputError, match=r"holds thesis\.tex"):
        prepare(tmp_path, NAMES)
    assert (tmp_path / "minio.tar").exists()


def test_an_empty_folder_that_others_may_read_becomes_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    folder.mkdir(mode=0o755)
    prepare(folder, NAMES)

    assert folder.stat().st_mode & 0o077 == 0


def test_a_folder_that_is_refused_keeps_its_mode(tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    folder.mkdir(mode=0o755)
    (folder / "thesis.tex").touch()

    with pytest.raises(InputError):
        prepare(folder, NAMES)
    assert folder.stat().st_mode & 0o777 == 0o755


def test_one_that_was_interrupted_is_made_anew(made: Path, source: dict[str, str]) -> None:
    (made / CONTENTS).rename(made / UNFINISHED)
    prepare(made, NAMES)
    assert [path.name for path in made.iterdir()] == [UNFINISHED]

    backup.back_up(source, made)
    assert read(made, NAMES)


def test_a_copy_that_fails_makes_no_backup(source: dict[str, str], tmp_path: Path) -> None:
    prepare(tmp_path / "backup", NAMES)

    with pytest.raises(ClusterError, match="cannot copy"):
        backup.back_up({**source, "postgres": str(tmp_path / "gone")}, tmp_path / "backup")
    assert not (tmp_path / "backup" / CONTENTS).exists()


@pytest.mark.parametrize("main", [backup.main, restore.main])
@pytest.mark.parametrize("arguments", [[], [""], ["one", "two"]])
def test_without_one_folder_the_usage_is_said(
    main: Callable[[list[str]], int], arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "Name a folder: make " in capsys.readouterr().err


def test_a_damaged_backup_is_refused_before_the_cluster_is_asked(
    made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "NAMES", NAMES)
    monkeypatch.setenv("HOME", str(made.parent))
    _shorten(made)

    assert restore.main([str(made)]) == 1
    assert "minio.tar is damaged" in capsys.readouterr().err
