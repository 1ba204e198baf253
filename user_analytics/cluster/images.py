"""The project's images: what goes into each, and building those whose content has changed.

An image is called `localhost/user-analytics/NAME` and has two tags: a hash of all that it is made of, by which an
unchanged one is known without looking into it, and the project's version, which the checked-in manifests name.
"""

import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from user_analytics import __version__
from user_analytics.cluster import go_programs
from user_analytics.cluster.base_image import base_image, ensure_base_image
from user_analytics.cluster.engine import build_image, has_image, tag_image
from user_analytics.cluster.messages import say
from user_analytics.cluster.versions import REQUIREMENTS
from user_analytics.cluster.wheel import build_wheel, wheel_identity
from user_analytics.cluster.workspace import workspace
from user_analytics.spark import jars

CHECKOUT = REQUIREMENTS.parent
IMAGES = CHECKOUT / "images"
LOGS = CHECKOUT / "build" / "logs"
REPOSITORY = "localhost/user-analytics"
TAG_LENGTH = 16


@dataclass(frozen=True)
class Part:
    """Something that goes into a build's context from outside the image's folder.

    `identity` is text that changes whenever the thing does; `put` puts it into the context.
    """

    identity: str
    put: Callable[[Path], object]


@dataclass(frozen=True)
class Image:
    """An image: its folder `images/NAME`, what else it takes, and the image of ours it is built on, if any."""

    name: str
    parts: tuple[Part, ...] = ()
    base: "Image | None" = None
    folder: Path = field(default=IMAGES)

    def tag(self) -> str:
        """Hash of everything that the image is made of."""
        digest = hashlib.sha256(f"version {__version__}\nbase {self.base_reference()}\n".encode())
        for line in [*file_identities(self.folder / self.name), *(part.identity for part in self.parts)]:
            digest.update(f"{line}\n".encode())
        return digest.hexdigest()[:TAG_LENGTH]

    def reference(self) -> str:
        """Its name with the tag that tells its content."""
        return f"{REPOSITORY}/{self.name}:{self.tag()}"

    def versioned_reference(self) -> str:
        """Its name with the project's version."""
        return f"{REPOSITORY}/{self.name}:{__version__}"

    def base_reference(self) -> str:
        """The image it is built on."""
        return self.base.reference() if self.base else base_image()


def build(image: Image) -> bool:
    """Build the image, and first what it is built on, unless it is there; False when it was. Raises ClusterError."""
    reference = image.reference()
    built = not has_image(reference)
    if built:
        if image.base:
            build(image.base)
        else:
            _timed("debian", ensure_base_image)
        _timed(image.name, lambda: _build(image, reference))
    tag_image(reference, image.versioned_reference())
    return built


def _build(image: Image, reference: str) -> bool:
    with workspace() as context:
        shutil.copytree(image.folder / image.name, context, dirs_exist_ok=True)
        for part in image.parts:
            part.put(context)
        build_image(
            context,
            context / "Dockerfile",
            reference,
            arguments={"BASE_IMAGE": image.base_reference()},
            labels={
                "org.opencontainers.image.title": image.name,
                "org.opencontainers.image.version": __version__,
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
            log=LOGS / f"image-{image.name}.log",
        )
    return True


def _timed(name: str, build: Callable[[], bool]) -> None:
    started = time.monotonic()
    if build():
        say(f"Built image {name} in {time.monotonic() - started:.0f} s")


def file_identities(folder: Path) -> list[str]:
    """A line for each file of a folder: its path, whether it is executable, and the hash of its bytes."""
    lines = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            executable = "x" if path.stat().st_mode & 0o100 else "-"
            lines.append(f"{path.relative_to(folder)} {executable} {hashlib.sha256(path.read_bytes()).hexdigest()}")
    return lines


def tree(source: Path, destination: str) -> Part:
    """A file or folder of the checkout."""
    if source.is_file():
        return Part(f"{destination} {_sha256(source)}", lambda context: shutil.copy2(source, context / destination))
    ignored = shutil.ignore_patterns("__pycache__")
    return Part(
        "\n".join([destination, *file_identities(source)]),
        lambda context: shutil.copytree(source, context / destination, ignore=ignored),
    )


def go_program(module: str, name: str | None = None) -> Part:
    """A program from source; its module's lock says all that it is made of."""

    def put(context: Path) -> None:
        go_programs.build(module)
        shutil.copy2(go_programs.program_file(module, name), context / (name or module))

    return Part(go_identity(module, name), put)


def go_identity(module: str, name: str | None = None) -> str:
    """What a program from source is made of."""
    lock = _sha256(go_programs.MODULES / module / "go.sum")
    return f"{name or module} {go_programs.module_version(module)} {lock}"


def requirements(name: str) -> Part:
    """Locked Python packages."""
    return tree(REQUIREMENTS / name, "requirements.txt")


def wheel() -> Part:
    """The project's own package."""
    return Part(wheel_identity(), lambda context: build_wheel(context / "wheel"))


def spark_jars(*pins: str) -> Part:
    """Pinned jars."""
    pinned = [jar for name in pins for jar in jars.pinned(REQUIREMENTS / name)]

    def put(context: Path) -> None:
        (context / "jars").mkdir()
        for jar in pinned:
            jars.fetch(jar, jars.cache_directory())
            shutil.copy2(jars.cache_directory() / jar.file_name, context / "jars")

    return Part("\n".join(f"{jar.file_name} {jar.sha256}" for jar in pinned), put)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
