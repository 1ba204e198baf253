"""Volumes are copied exactly and replaced whole, wherever it is interrupted. The script runs here as in the node."""

import fcntl
import io
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from user_analytics.cluster import volumes
from user_analytics.cluster.volumes import SCRIPT, State, look, place, receive, send, settle, state, undo
from user_analytics.errors import ClusterError


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volumes, "inside_node", list)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """What a server may have written."""
    folder = tmp_path / "volume"
    (folder / "pgdata" / "base").mkdir(parents=True)
    (folder / "pgdata" / "base" / "16384").write_bytes(os.urandom(300_000))
    (folder / "pgdata" / "empty").touch()
    (folder / "pgdata" / "PG_VERSION").write_text("18\n")
    (folder / "pgdata" / "link").symlink_to("base/16384")
    (folder / "name with\nnewline é").mkdir()
    (folder / "pgdata").chmod(0o2700)
    if os.geteuid() == 0:
        os.chown(folder / "pgdata" / "PG_VERSION", 999, 998)
    os.utime(folder / "pgdata" / "PG_VERSION", ns=(1, 1_234_567_890_123_456_789))
    return folder


def described(folder: Path) -> list[tuple[object, ...]]:
    """Everything that a copy has to keep."""
    return sorted(_described(folder))


def _described(folder: Path) -> Iterator[tuple[object, ...]]:
    for path in [folder, *folder.rglob("*")]:
        status = path.lstat()
        content = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else ""
        when = "" if path.is_symlink() else status.st_mtime_ns
        yield str(path.relative_to(folder)), status.st_mode, status.st_uid, status.st_gid, when, str(content)


def archive(folder: Path) -> io.BytesIO:
    file = io.BytesIO()
    send(str(folder), file)
    file.seek(0)
    return file


def test_a_volume_comes_back_exactly(volume: Path) -> None:
    before = described(volume)
    receive(str(volume), archive(volume))

    assert described(volume.with_name("volume.new")) == before


def test_size_and_digest_of_an_archive_are_told(volume: Path) -> None:
    file = io.BytesIO()
    told = send(str(volume), file)

    assert told.size == len(file.getvalue())
    assert told.sha256 == subprocess.run(
        ["sha256sum"], input=file.getvalue(), capture_output=True, check=True
    ).stdout.decode().removesuffix("  -\n")


def test_a_volume_that_is_not_there_cannot_be_sent(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"cannot copy .*missing:\n.*No such file"):
        send(str(tmp_path / "missing"), io.BytesIO())


def test_an_archive_that_is_none_is_refused(volume: Path) -> None:
    with pytest.raises(ClusterError, match=r"cannot copy .*volume:\n.*tar: "):
        receive(str(volume), io.BytesIO(b"no archive" * 10_000))


def test_what_arrives_in_part_is_noticed(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swallowing = SCRIPT.read_text().replace('tee "$directory/copy" |', 'head --bytes 10240 | tee "$directory/copy" |')
    shorter = volume.with_name("volume.sh")
    shorter.write_text(swallowing)
    content = archive(volume).getvalue()
    monkeypatch.setattr(volumes, "SCRIPT", shorter)

    with pytest.raises(ClusterError, match=r"cannot copy|did not come through whole"):
        receive(str(volume), io.BytesIO(content))


# On their way into the node, or out of it, the bytes of what is called OF become those of 0F: tar takes both.
CHANGING = {
    "receive": ["bash", "-c", """LC_ALL=C sed s/OF/0F/ | "$@" """, "changing"],
    "send": ["bash", "-c", """set -o pipefail; "$@" | LC_ALL=C sed s/OF/0F/""", "changing"],
}


@pytest.mark.parametrize("action", CHANGING)
def test_a_byte_that_changes_on_the_way_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "content").write_text("OF minio")
    content = archive(volume)
    monkeypatch.setattr(volumes, "inside_node", lambda: CHANGING[action])

    with pytest.raises(ClusterError, match=r"the copy of .*volume did not come through whole: try again"):
        receive(str(volume), content) if action == "receive" else send(str(volume), io.BytesIO())


def test_what_an_earlier_copy_left_is_no_part_of_the_next(volume: Path) -> None:
    left = volume.with_name("volume.new")
    left.mkdir()
    (left / "old").touch()
    before = described(volume)
    receive(str(volume), archive(volume))

    assert described(left) == before


def test_an_error_of_the_reader_is_told_as_it_is(volume: Path) -> None:
    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        send(str(volume), Full())


class Pair:
    """Two volumes that hold `before`, with `new` received for both."""

    def __init__(self, directory: Path) -> None:
        self.folders = [str(directory / name) for name in ("minio", "postgres")]
        for folder in self.folders:
            for path, content in ((folder, "before"), (f"{folder}.new", "new")):
                Path(path).mkdir(parents=True)
                Path(path, "content").write_text(content)

    def contents(self) -> list[str]:
        return [Path(folder, "content").read_text() for folder in self.folders]

    def others(self) -> list[str]:
        parent = Path(self.folders[0]).parent
        return sorted({path.name for path in parent.iterdir()} - {"minio", "postgres"})


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def test_new_volumes_take_the_place_of_the_old(pair: Pair) -> None:
    place(pair.folders)
    assert pair.contents() == ["new", "new"]

    settle(pair.folders)
    assert pair.contents() == ["new", "new"]
    assert pair.others() == []


def test_volumes_that_were_replaced_can_have_their_place_back(pair: Pair) -> None:
    place(pair.folders)
    undo(pair.folders)
    assert pair.contents() == ["before", "before"]

    settle(pair.folders)
    assert pair.contents() == ["before", "before"]
    assert pair.others() == []


def test_received_but_not_placed_is_forgotten(pair: Pair) -> None:
    settle(pair.folders)

    assert pair.contents() == ["before", "before"]
    assert pair.others() == []


@pytest.mark.parametrize("missing", [0, 1])
def test_nothing_is_replaced_when_a_volume_was_not_received(pair: Pair, missing: int) -> None:
    shutil.rmtree(f"{pair.folders[missing]}.new")

    with pytest.raises(ClusterError, match=r"\.new is missing: nothing was replaced"):
        place(pair.folders)

    assert pair.contents() == ["before", "before"]


def test_a_volume_of_which_only_the_old_one_is_there_gets_its_place_back(pair: Pair) -> None:
    for folder in pair.folders:
        shutil.rmtree(f"{folder}.new")
    Path(pair.folders[0]).rename(f"{pair.folders[0]}.old")

    settle(pair.folders)

    assert pair.contents() == ["before", "before"]
    assert pair.others() == []


def run_until(pair: Pair, action: str, moves: int, directory: Path) -> bool:
    """Run an action that is killed in its next move after `moves`; False when it came to its end.

    A folder that was being deleted has lost its content then.
    """
    programs = directory / "programs"
    programs.mkdir(exist_ok=True)
    (directory / "count").write_text(str(moves))
    for program in ("mv", "rm"):
        (programs / program).write_text(
            f'#!/bin/bash\nleft=$(<"{directory}/count")\n'
            f'[ "$left" -gt 0 ] || {{ kill -KILL "$PPID"; [ {program} = mv ] || /bin/rm -f "$2/content"; exit 1; }}\n'
            f'echo $((left - 1)) >"{directory}/count"\nexec /bin/{program} "$@"\n'
        )
        (programs / program).chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", SCRIPT, action, *pair.folders], env=environment, check=False)
    return done.returncode != 0


def killed_after_each_move(directory: Path, action: str) -> Iterator[Pair]:
    """Pairs of volumes, each as an action left it that was killed one move later than the one before."""
    for moves in itertools.count():
        pair = Pair(directory / str(moves))
        if action != "place":
            place(pair.folders)
        if not run_until(pair, action, moves, directory):
            break
        yield pair
    assert moves >= 2


@pytest.mark.parametrize("action", ["place", "undo", "settle"])
def test_wherever_it_is_killed_all_volumes_are_from_before_or_all_new(tmp_path: Path, action: str) -> None:
    for moves, pair in enumerate(killed_after_each_move(tmp_path, action)):
        settle(pair.folders)
        assert pair.contents() in (["before", "before"], ["new", "new"]), f"killed after {moves} moves"
        assert pair.others() == []


@pytest.mark.parametrize("action", ["place", "undo", "settle"])
def test_wherever_it_is_killed_undoing_it_leaves_no_mixture(tmp_path: Path, action: str) -> None:
    for moves, pair in enumerate(killed_after_each_move(tmp_path, action)):
        undo(pair.folders)
        settle(pair.folders)
        assert pair.contents() in (["before", "before"], ["new", "new"]), f"killed after {moves} moves"
        assert pair.others() == []


@pytest.mark.parametrize("first", range(1, 4))
def test_settling_may_be_killed_itself(tmp_path: Path, first: int) -> None:
    for moves in itertools.count():
        pair = Pair(tmp_path / str(moves))
        assert run_until(pair, "place", first, tmp_path)
        if not run_until(pair, "settle", moves, tmp_path):
            break
        settle(pair.folders)
        assert pair.contents() == ["before", "before"], f"killed after {moves} moves"
        assert pair.others() == []
    assert moves >= 2


def test_a_folder_that_something_made_meanwhile_does_not_pass_for_a_volume(pair: Pair, tmp_path: Path) -> None:
    assert run_until(pair, "place", 1, tmp_path)
    Path(pair.folders[0]).mkdir()
    settle(pair.folders)

    assert pair.contents() == ["before", "before"]


@contextmanager
def going_on(pair: Pair) -> Iterator[int]:
    """What a command that was killed began in the node goes on inside; the lock that it holds."""
    lock = os.open(Path(pair.folders[0]).parent, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)


def test_volumes_are_left_alone_until_what_is_going_on_has_ended(pair: Pair) -> None:
    with going_on(pair) as lock:
        with subprocess.Popen(["bash", SCRIPT, "place", *pair.folders]) as placing:
            with pytest.raises(subprocess.TimeoutExpired):
                placing.wait(1)
            assert pair.contents() == ["before", "before"]
            fcntl.flock(lock, fcntl.LOCK_UN)
        assert placing.returncode == 0
    assert pair.contents() == ["new", "new"]


def test_a_look_does_not_wait_for_what_is_going_on(pair: Pair) -> None:
    with going_on(pair):
        assert look(pair.folders) == State.BUSY
    assert look(pair.folders) == state(pair.folders) == State.OLD


def test_two_that_look_are_not_in_each_others_way(pair: Pair) -> None:
    with going_on(pair) as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert look(pair.folders) == State.OLD


def test_what_does_not_end_is_told(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    impatient = tmp_path / "volume.sh"
    impatient.write_text(SCRIPT.read_text().replace("LOCK_SECONDS=600", "LOCK_SECONDS=1"))
    monkeypatch.setattr(volumes, "SCRIPT", impatient)

    with (
        going_on(pair),
        pytest.raises(ClusterError, match=r"cannot place .*:\nthe node is still at work on the volumes"),
    ):
        place(pair.folders)
    assert pair.contents() == ["before", "before"]


def test_what_there_is_to_settle_is_told_at_every_step(pair: Pair, tmp_path: Path) -> None:
    assert state(pair.folders) == State.OLD  # received

    place(pair.folders)
    assert state(pair.folders) == State.PLACED

    assert run_until(pair, "settle", 3, tmp_path)
    assert state(pair.folders) == State.OLD

    settle(pair.folders)
    assert state(pair.folders) == State.NOTHING


@pytest.mark.parametrize("action", ["place", "undo"])
def test_volumes_that_are_replaced_in_part_are_told(tmp_path: Path, action: str) -> None:
    for moves in itertools.count():
        pair = Pair(tmp_path / str(moves))
        if action == "undo":
            place(pair.folders)
        if not run_until(pair, action, moves, tmp_path):
            break
        untouched = State.PLACED if action == "undo" else State.OLD
        assert state(pair.folders) == (State.TORN if moves else untouched), f"killed after {moves} moves"
    assert moves >= 2
