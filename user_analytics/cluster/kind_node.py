"""The kind node's image: Kubernetes from source, and the images that its control plane runs in.

kind's own files (entrypoint, units, containerd's settings) come from kind's module, as pinned.
"""

import hashlib
import shutil
from pathlib import Path
from typing import NamedTuple

from user_analytics.cluster import go_programs
from user_analytics.cluster.base_image import base_image, ensure_base_image
from user_analytics.cluster.engine import build_image, save_images, tag_image
from user_analytics.cluster.images import IMAGES, LOGS, Image, Part, file_identities, go_identity, go_program
from user_analytics.cluster.versions import read_versions
from user_analytics.cluster.workspace import workspace

COMPONENTS = IMAGES / "kind-node" / "components"
# Called so in images/kind-node/files/kind/manifests/default-storage.yaml.
PROVISIONER = "localhost/user-analytics/local-path-provisioner:node"
VOLUME_HELPER = "localhost/user-analytics/volume-helper:node"


class Component(NamedTuple):
    """An image of the control plane: its name, the target that makes it, and the program in it."""

    reference: str
    target: str
    module: str | None = None
    program: str | None = None


def node_image() -> Image:
    """The node's image as it is to be built here."""
    version = go_programs.module_version("kubernetes")
    return Image(
        "kind-node",
        (
            *(go_program("kubernetes", name) for name in ("kubeadm", "kubectl", "kubelet")),
            Part(f"kind {go_programs.module_version('kind')}", lambda context: _put_kind_files(context / "kind")),
            Part(f"version {version}", lambda context: (context / "version").write_text(version)),
            Part(_components_identity(), lambda context: _put_components(context / "images")),
        ),
    )


def components() -> list[Component]:
    """The control plane's images, by the names under which kubeadm, containerd and the storage look for them."""
    versions = read_versions()
    kubernetes, etcd = versions["KUBERNETES_VERSION"], versions["ETCD_VERSION"].removeprefix("v")
    return [
        *(
            Component(f"registry.k8s.io/{name}:{kubernetes}", "program", "kubernetes", name)
            for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
        ),
        Component(f"registry.k8s.io/kube-proxy:{kubernetes}", "kube-proxy", "kubernetes", "kube-proxy"),
        # the number behind the version is that of the published image's build
        Component(f"registry.k8s.io/etcd:{etcd}-0", "program", "etcd", "etcd"),
        Component(f"registry.k8s.io/coredns/coredns:{versions['COREDNS_VERSION']}", "coredns", "coredns", "coredns"),
        Component(f"registry.k8s.io/pause:{versions['PAUSE_VERSION']}", "pause"),
        Component(PROVISIONER, "program", "local-path-provisioner", "local-path-provisioner"),
    ]


def _components_identity() -> str:
    lines = file_identities(COMPONENTS)
    for component in components():
        source = go_identity(component.module, component.program) if component.module else ""
        lines.append(f"{component.reference} {source}")
    return "components " + hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _put_components(directory: Path) -> None:
    directory.mkdir()
    ensure_base_image()
    for component in components():
        _build_component(component)
    tag_image(base_image(), VOLUME_HELPER)
    save_images([*(component.reference for component in components()), VOLUME_HELPER], directory / "components.tar")


def _build_component(component: Component) -> None:
    with workspace() as context:
        if component.module:
            go_programs.build(component.module)
            only = len(go_programs.programs(component.module)) == 1
            file = go_programs.program_file(component.module, None if only else component.program)
            shutil.copy2(file, context / "program")
        build_image(
            context,
            COMPONENTS / "Dockerfile",
            component.reference,
            target=component.target,
            arguments={"BASE_IMAGE": base_image(), "PROGRAM": component.program or ""},
            labels={},
            log=LOGS / f"image-kind-node-{component.program or component.target}.log",
        )


def _put_kind_files(directory: Path) -> None:
    source = go_programs.module_directory("kind", "sigs.k8s.io/kind") / "images" / "base" / "files"
    shutil.copytree(source, directory, copy_function=shutil.copyfile)
    for folder in directory.rglob("*"):
        if folder.is_dir():
            # the module cache is read-only
            folder.chmod(0o755)
