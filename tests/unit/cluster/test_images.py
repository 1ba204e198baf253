"""What an image is known by: a hash of all that it is made of."""

from pathlib import Path

import pytest

from user_analytics.cluster.catalogue import every_image, workload_images
from user_analytics.cluster.images import IMAGES, Image, Part, file_identities, tree
from user_analytics.cluster.kind_node import components
from user_analytics.cluster.versions import read_versions
from user_analytics.cluster.wheel import SOURCES, wheel_identity


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "Dockerfile").write_text("FROM scratch\n")
    return tmp_path


def web(folder: Path, *parts: Part, base: Image | None = None) -> Image:
    return Image("web", parts, base, folder)


def test_an_image_keeps_its_tag_while_nothing_changes(folder: Path) -> None:
    assert web(folder).tag() == web(folder).tag()
    assert web(folder).reference() == f"localhost/user-analytics/web:{web(folder).tag()}"


def test_a_changed_file_changes_the_tag(folder: Path) -> None:
    before = web(folder).tag()
    (folder / "web" / "Dockerfile").write_text("FROM scratch\nUSER 1\n")

    assert web(folder).tag() != before


def test_a_file_that_becomes_executable_changes_the_tag(folder: Path) -> None:
    before = web(folder).tag()
    (folder / "web" / "Dockerfile").chmod(0o755)

    assert web(folder).tag() != before


def test_a_part_from_outside_the_folder_changes_the_tag(folder: Path) -> None:
    one, two = (web(folder, Part(f"helm {version}", Path.touch)) for version in ("v1", "v2"))

    assert one.tag() != two.tag()


def test_what_an_image_is_built_on_changes_its_tag(folder: Path) -> None:
    one, two = (web(folder, base=web(folder, Part(version, Path.touch))) for version in ("v1", "v2"))

    assert one.tag() != two.tag()


def test_another_base_image_changes_every_tag(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = web(folder).tag()
    monkeypatch.setenv("BASE_IMAGE", "debian:bookworm-slim")

    assert web(folder).tag() != before


def test_compiled_python_is_no_part_of_an_image(folder: Path) -> None:
    before = file_identities(folder)
    (folder / "web" / "__pycache__").mkdir()
    (folder / "web" / "__pycache__" / "main.cpython-311.pyc").write_bytes(b"\0")

    assert file_identities(folder) == before


def test_a_tree_is_put_where_the_dockerfile_looks_for_it(folder: Path, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    tree(folder / "web", "pages").put(context)

    assert (context / "pages" / "Dockerfile").read_text() == "FROM scratch\n"


def test_each_image_has_a_folder_and_each_folder_is_an_image() -> None:
    images = every_image()
    bases = {image.base.name for image in images.values() if image.base}

    assert {folder.name for folder in IMAGES.iterdir() if folder.is_dir()} == {*images, *bases}


@pytest.mark.parametrize("name", sorted(workload_images()))
def test_no_workload_runs_as_root(name: str) -> None:
    users = [line for line in (IMAGES / name / "Dockerfile").read_text().splitlines() if line.startswith("USER ")]

    assert users
    assert users[-1] not in {"USER root", "USER 0"}


@pytest.mark.parametrize("dockerfile", sorted(IMAGES.rglob("Dockerfile")), ids=lambda path: path.parent.name)
def test_no_layer_is_made_of_mounted_files_whose_change_podman_does_not_see(dockerfile: Path) -> None:
    # with them unchanged or not, it takes the layer of an earlier build
    assert "type=bind" not in dockerfile.read_text()


@pytest.mark.parametrize("dockerfile", sorted(IMAGES.rglob("Dockerfile")), ids=lambda file: file.parent.name)
def test_an_image_holds_nothing_that_apt_downloaded_or_can_make_again(dockerfile: Path) -> None:
    instructions = dockerfile.read_text().replace("\\\n", "").splitlines()
    installations = [line for line in instructions if "apt-get install" in line]

    assert all("apt-get clean && rm -rf /var/lib/apt/lists/*" in line for line in installations)


def test_the_wheel_changes_with_the_package_but_not_with_what_it_leaves_out(tmp_path: Path) -> None:
    for name in ("user_analytics/cluster", "user_analytics/sentiment", "requirements"):
        (tmp_path / name).mkdir(parents=True)
    for name in {*SOURCES} - {"user_analytics"}:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1")
    (tmp_path / "user_analytics" / "cli.py").write_text("1")
    before = wheel_identity(tmp_path)

    (tmp_path / "user_analytics" / "cluster" / "up.py").write_text("2")
    (tmp_path / "user_analytics" / "sentiment" / "_kernel.so").write_bytes(b"2")
    assert wheel_identity(tmp_path) == before

    (tmp_path / "user_analytics" / "cli.py").write_text("2")
    assert wheel_identity(tmp_path) != before


def test_the_control_plane_is_called_as_kubeadm_looks_for_it() -> None:
    names = [component.reference for component in components()]

    assert f"registry.k8s.io/kube-apiserver:{read_versions()['KUBERNETES_VERSION']}" in names
    assert any(name.startswith("registry.k8s.io/etcd:3.") and name.endswith("-0") for name in names)
    assert any(name.startswith("registry.k8s.io/coredns/coredns:v") for name in names)


def test_the_node_has_the_images_that_its_storage_names() -> None:
    storage = (IMAGES / "kind-node/files/kind/manifests/default-storage.yaml").read_text()
    provisioner = next(
        component.reference for component in components() if component.module == "local-path-provisioner"
    )

    assert f"image: {provisioner}" in storage


@pytest.mark.parametrize("dockerfile", sorted(IMAGES.glob("*/Dockerfile")), ids=lambda file: file.parent.name)
def test_packages_of_an_image_come_from_its_lock_alone(dockerfile: Path) -> None:
    """pip 23 takes the newest release of `package[extra]`, whatever is pinned: a lock would end with that release."""
    installations = [line for line in dockerfile.read_text().splitlines() if "--require-hashes" in line]

    assert all("--no-deps" in line for line in installations)
