"""The servers' volumes, which are folders of the kind node: copied and replaced whole, by `volume.sh` inside it."""

import hashlib
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, NamedTuple

from kubernetes.client import ApiException, CoreV1Api

from user_analytics.cluster.engine import engine
from user_analytics.cluster.kind import NODE
from user_analytics.errors import ClusterError

SCRIPT = Path(__file__).with_name("volume.sh")
CHUNK_BYTES = 1 << 20


class State(StrEnum):
    """What there is beside the folders: `volume.sh` explains."""

    NOTHING = "nothing"
    OLD = "old"
    PLACED = "placed"
    TORN = "torn"
    BUSY = "busy"


class Archive(NamedTuple):
    """A volume as one stream of bytes: how many, and their SHA-256."""

    size: int
    sha256: str


def claim_of(server: str) -> str:
    """What the claim of a server is called that is a StatefulSet of one pod."""
    return f"data-{server}-0"


def bound_claims(core: CoreV1Api, namespace: str) -> set[str]:
    """The claims that have a volume."""
    claims = core.list_namespaced_persistent_volume_claim(namespace).items
    return {str(each.metadata.name) for each in claims if each.metadata and each.spec and each.spec.volume_name}


def folder(core: CoreV1Api, namespace: str, claim: str) -> str:
    """The folder of the node that a claim's volume is. Raises ClusterError when it is none."""
    try:
        claimed = core.read_namespaced_persistent_volume_claim(claim, namespace).spec
        name = claimed and claimed.volume_name
        if not name:
            raise ClusterError(f"claim {claim} has no volume yet: `make cluster-up` completes the cluster")
        spec = core.read_persistent_volume(name).spec
    except ApiException as error:
        raise ClusterError(f"cannot find the volume of claim {claim} in {namespace}: {error.reason}") from error
    source = spec and (spec.host_path or spec.local)
    if not source:
        raise ClusterError(f"the volume of claim {claim} is no folder of a node: use the snapshots of its storage")
    return str(source.path)


def send(folder: str, file: BinaryIO) -> Archive:
    """Write the archive of a folder to a file. Raises ClusterError when it did not come whole, OSError."""
    digest, size = hashlib.sha256(), 0
    with _running("send", folder, digest) as process:
        while chunk := process.stdout.read(CHUNK_BYTES):  # type: ignore[union-attr]
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    return Archive(size, digest.hexdigest())


def receive(folder: str, file: BinaryIO) -> None:
    """Make FOLDER.new from an archive. Raises ClusterError when it did not arrive whole."""
    digest = hashlib.sha256()
    with _running("receive", folder, digest) as process, suppress(BrokenPipeError):  # its end tells why
        while chunk := file.read(CHUNK_BYTES):
            process.stdin.write(chunk)  # type: ignore[union-attr]
            digest.update(chunk)


def place(folders: Sequence[str]) -> None:
    """Put each FOLDER.new in its folder's place, all or none. Raises ClusterError."""
    _do("place", folders)


def undo(folders: Sequence[str]) -> None:
    """Give each folder that was replaced its place back, unless that is settled already. Raises ClusterError."""
    _do("undo", folders)


def settle(folders: Sequence[str]) -> None:
    """Bring an interrupted restore to an end: the folders are those from before, or all new. Raises ClusterError."""
    _do("settle", folders)


def state(folders: Sequence[str]) -> State:
    """What an interrupted restore left to be settled. Raises ClusterError."""
    return State(_do("state", folders).strip())


def look(folders: Sequence[str]) -> State:
    """The state as it is now, BUSY while something is done with the folders; without a wait. Raises ClusterError."""
    return State(_do("look", folders).strip())


def inside_node() -> list[str]:
    """The command that runs another one inside the node."""
    return [engine(), "exec", "--interactive", NODE]


@contextmanager
def _running(action: str, folder: str, digest: "hashlib._Hash") -> Iterator[subprocess.Popen[bytes]]:
    """A program of the node to talk to; in the end `digest` is that of what it sent or received."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(  # noqa: S603
            _command(action, [folder]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        )
        try:
            yield process
        except BaseException:
            process.kill()
            raise
        finally:
            process.communicate()
        errors.seek(0)
        said = errors.read().decode(errors="replace").splitlines()
    if process.returncode != 0:
        raise ClusterError(f"cannot copy {folder}:\n" + "\n".join(said[-10:]))
    if not said or said[-1] != digest.hexdigest():
        raise ClusterError(f"the copy of {folder} did not come through whole: try again")


def _do(action: str, folders: Sequence[str]) -> str:
    done = subprocess.run(_command(action, folders), capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise ClusterError(f"cannot {action} {', '.join(folders)}:\n{done.stderr.strip()}")
    return done.stdout


def _command(action: str, folders: Sequence[str]) -> list[str]:
    return [*inside_node(), "bash", "-c", SCRIPT.read_text(encoding="utf-8"), SCRIPT.name, action, *folders]
