"""The container engine: podman, or docker where podman is not installed."""

import fcntl
import json
import os
import shutil
import signal
import ssl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from user_analytics.cluster.workspace import workspace
from user_analytics.errors import ClusterError


@cache
def engine() -> str:
    """The engine's command; raises ClusterError when there is none."""
    for command in ("podman", "docker"):
        if shutil.which(command):
            return command
    raise ClusterError("Neither podman nor docker is installed: `make cluster-tools` installs podman on Debian")


def kind_environment() -> dict[str, str]:
    """The environment in which kind uses this engine."""
    return {**os.environ, "KIND_EXPERIMENTAL_PROVIDER": engine()}


def has_image(reference: str) -> bool:
    """Whether the engine's store holds the image."""
    return run("image", "inspect", "--format", "{{.Id}}", reference, check=False).returncode == 0


def image_store() -> Path:
    """The folder that the engine keeps images in."""
    field = "{{.Store.GraphRoot}}" if engine() == "podman" else "{{.DockerRootDir}}"
    return Path(run("info", "--format", field).stdout.strip())


def build_image(
    context: Path,
    dockerfile: Path,
    reference: str,
    *,
    arguments: Mapping[str, str],
    labels: Mapping[str, str],
    log: Path,
    target: str | None = None,
) -> None:
    """Build an image; what the build says goes to `log`. Raises ClusterError with its end."""
    command = [engine(), "build", "--network", "host", "--file", str(dockerfile), "--tag", reference]
    if target:
        command += ["--target", target]
    # a machine may trust an authority of its own, which the base image does not know
    authorities = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    if authorities:
        command += ["--secret", f"id=ca,src={authorities}"]
    for name, value in arguments.items():
        command += ["--build-arg", f"{name}={value}"]
    for name, value in labels.items():
        command += ["--label", f"{name}={value}"]
    log.parent.mkdir(parents=True, exist_ok=True)
    with _store_locked(fcntl.LOCK_SH), log.open("wb") as output:
        done = subprocess.run(  # noqa: S603
            [*command, str(context)], stdout=output, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise ClusterError(f"cannot build {reference} ({log} has all of it):\n{tail}")


def remove_abandoned_builds(base: str) -> list[str] | None:
    """Remove the containers, with their mounts, of builds on image `base` that were killed; their names.

    None, and nothing is removed, while anybody builds: podman does not tell whose a container is. docker's daemon
    removes them by itself.
    """
    if engine() != "podman" or not has_image(base):
        return []
    try:
        with _store_locked(fcntl.LOCK_EX | fcntl.LOCK_NB):
            return _remove_builds(_layers(base))
    except BlockingIOError:
        return None


def _remove_builds(layers: list[str]) -> list[str]:
    removed = []
    for container in json.loads(run("ps", "--all", "--external", "--format", "json").stdout):
        # a container of podman's own has a process or had one; one of a build is storage alone
        if container["Status"] == "Storage" and _layers(container["ImageID"])[: len(layers)] == layers:
            run("rm", "--force", container["Id"])
            removed.extend(container["Names"])
    return removed


@contextmanager
def _store_locked(operation: int) -> Iterator[None]:
    """Hold a lock on podman's store, which all checkouts of a user share. Who builds shares it with others who do."""
    if engine() != "podman":
        yield
        return
    descriptor = os.open(image_store(), os.O_RDONLY)
    try:
        fcntl.flock(descriptor, operation)
        yield
    finally:
        os.close(descriptor)


def _layers(image: str) -> list[str]:
    found: list[str] = json.loads(run("image", "inspect", "--format", "{{json .RootFS.Layers}}", image).stdout)
    return found


def tag_image(reference: str, other: str) -> None:
    """Give an image another name."""
    run("tag", reference, other)


def save_images(references: Sequence[str], archive: Path) -> None:
    """Write images with these names to one archive that `kind load` and containerd take. Raises ClusterError."""
    run(*_save(), "--output", str(archive), *references)


@contextmanager
def saved_images(references: Sequence[str]) -> Iterator[IO[bytes]]:
    """An archive as `save_images` writes it, to be read once, while it is made.

    Raises ClusterError when the images cannot be saved, or when the reader does.
    """
    # podman removes nothing when it is killed: not the layer that it is at, nor the pipe that it puts before another
    to_standard_output = ["--output", "/dev/stdout"] if engine() == "podman" else []
    failures = []
    with workspace() as directory, TemporaryFile("w+") as said:
        with subprocess.Popen(  # noqa: S603
            [engine(), *_save(), *to_standard_output, *references],
            stdout=subprocess.PIPE,
            stderr=said,
            env={**os.environ, "TMPDIR": str(directory)},
        ) as saving:
            assert saving.stdout is not None  # noqa: S101
            try:
                yield saving.stdout
            except ClusterError as error:
                failures.append(str(error))
        said.seek(0)
        reason = said.read().strip()
    ended_by_its_reader = failures and (saving.returncode == -signal.SIGPIPE or "broken pipe" in reason.lower())
    if saving.returncode != 0 and not ended_by_its_reader:
        failures.insert(0, f"{engine()} save failed:\n{reason}")
    if failures:
        raise ClusterError("\n".join(failures))


def _save() -> list[str]:
    options = ["--quiet", "--format", "docker-archive", "--multi-image-archive"] if engine() == "podman" else []
    return ["save", *options]


def run(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the engine; raises ClusterError with what it said unless `check` is off."""
    done = subprocess.run([engine(), *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    if check and done.returncode != 0:
        raise ClusterError(f"{engine()} {' '.join(arguments[:2])} failed:\n{done.stderr.strip()}")
    return done
