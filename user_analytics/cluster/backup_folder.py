"""A backup on this machine: a folder with an archive of each volume and, written last, `backup.json`.

Until then it has another name, by which an interrupted backup is known: nothing else is ever taken for one.
"""

import hashlib
import os
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

from packaging.version import Version
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from user_analytics.errors import InputError

CONTENTS = "backup.json"
UNFINISHED = ".user-analytics-backup.json"
# There are customers' data in it, and hashes of passwords.
OWNER_ONLY_FOLDER, OWNER_ONLY_FILE = 0o700, 0o600
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ReleaseVersion = Annotated[str, AfterValidator(lambda text: str(Version(text)))]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BackedUpVolume(_Document):
    """The archive of a volume, `NAME.tar`: its `size` in bytes, and the SHA-256 of all of them."""

    size: int
    sha256: Digest


class Backup(_Document):
    """What a backup holds, by the name of the server whose volume it is.

    `version` is of the project that made it, `airflow` of the one whose database is in Postgres; None if not known, as
    in backups made before it was asked for.
    """

    format: Literal[1] = 1
    made: AwareDatetime
    version: str
    airflow: ReleaseVersion | None = None
    volumes: dict[Name, BackedUpVolume]


def archive(folder: Path, name: str) -> Path:
    """The file of a volume."""
    return folder / f"{name}.tar"


def prepare(folder: Path, names: Collection[str]) -> None:
    """Make an empty folder for a backup, which only its owner may read; what an interrupted one left there goes.

    Raises InputError when there is anything else in it.
    """
    folder.mkdir(mode=OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
    if (folder / CONTENTS).exists():
        raise InputError(f"{folder} holds a backup already: name another folder")
    there = {path.name for path in folder.iterdir()}
    archives = {archive(folder, name).name for name in names}
    other = sorted(there - archives - {UNFINISHED} if UNFINISHED in there else there)
    if other:
        raise InputError(f"{folder} holds {other[0]}, which is no part of a backup: name a new or an empty folder")
    folder.chmod(OWNER_ONLY_FOLDER)
    for name in archives & there:
        (folder / name).unlink()
    if UNFINISHED not in there:
        create(folder / UNFINISHED).close()
        _entries_to_disk(folder)


def create(file: Path) -> BinaryIO:
    """Open a new file, which only its owner may read, for writing."""
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY_FILE), "wb")


def complete(folder: Path, backup: Backup) -> None:
    """Write down what the prepared folder holds, which makes it a backup. Its archives are on the disk before."""
    with (folder / UNFINISHED).open("wb") as file:
        file.write(f"{backup.model_dump_json(indent=2)}\n".encode())
        to_disk(file)
    (folder / UNFINISHED).replace(folder / CONTENTS)
    _entries_to_disk(folder)


def to_disk(file: BinaryIO) -> None:
    """Have all that was written to a file on the disk."""
    file.flush()
    os.fsync(file.fileno())


def _entries_to_disk(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(folder: Path, names: Collection[str]) -> Backup:
    """The folder's backup of these volumes, once every byte was read and is as it was. Raises InputError."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder")
    try:
        backup = Backup.model_validate_json((folder / CONTENTS).read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"{folder} is no complete backup: it has no {CONTENTS}, which is written last") from error
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        place = ".".join(map(str, detail["loc"]))
        said = ": ".join(filter(None, [place, detail["msg"]]))
        raise InputError(f"{folder / CONTENTS} is damaged, or of another version: {said}") from error
    if set(backup.volumes) != set(names):
        raise InputError(f"{folder} holds {', '.join(sorted(backup.volumes))}, not {', '.join(sorted(names))}")
    for name, volume in backup.volumes.items():
        _check(archive(folder, name), volume)
    return backup


def _check(file: Path, volume: BackedUpVolume) -> None:
    try:
        size = file.stat().st_size
        if size != volume.size:
            raise InputError(f"{file} is damaged: it has {size:,} bytes, not {volume.size:,}")
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise InputError(f"{file} is missing: the backup is not whole") from error
    if digest != volume.sha256:
        raise InputError(f"{file} is damaged: its SHA-256 is another one than {CONTENTS} says")
