"""What both stores promise: a local directory and a bucket on a real MinIO."""

import hashlib
import http.client
import io
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread, Timer

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from minio import Minio
from pydantic import SecretStr

from tests.fixtures.minio import MinioServer
from tests.fixtures.ports import free_port
from user_analytics.errors import LakeError, SettingsError, Unreachable
from user_analytics.lake import keys
from user_analytics.lake.bucket import create_bucket
from user_analytics.lake.local_store import LocalStore
from user_analytics.lake.s3_store import PART_BYTES, S3Store
from user_analytics.lake.store import Store, open_store
from user_analytics.settings import Settings, load_settings

POLL_SECONDS = 0.01
"""How often a server that is to stop looks."""


class Failing(io.BytesIO):
    """A stream that breaks after a number of bytes."""

    def __init__(self, good_bytes: int) -> None:
        super().__init__(b"x" * good_bytes)

    def read(self, size: int | None = -1) -> bytes:
        if block := super().read(size):
            return block
        raise OSError(5, "Input/output error")


def test_creating_a_store_says_whether_it_was_there_already(lake_settings: Settings) -> None:
    lake = open_store(lake_settings)

    assert [lake.create(), lake.create()] == [True, False]


def test_of_many_that_create_a_store_at_once_none_fails(lake_settings: Settings) -> None:
    stores = [open_store(lake_settings) for _ in range(8)]

    with ThreadPoolExecutor(len(stores)) as pool:
        created = list(pool.map(lambda store: store.create(), stores))

    assert any(created)
    assert not stores[0].create()


def test_create_bucket_makes_the_folder_for_spark_events_which_is_no_object(lake_settings: Settings) -> None:
    lake = open_store(lake_settings)

    assert [create_bucket(lake), create_bucket(lake)] == [True, False]
    assert lake.get(keys.SPARK_EVENTS) in (b"", None)
    assert list(lake.list("")) == []
    if isinstance(lake, LocalStore):
        assert (lake.root / keys.SPARK_EVENTS).is_dir()


def test_an_object_put_is_read_back(lake: Store) -> None:
    lake.put("a/b", b"body")

    assert lake.get("a/b") == b"body"
    with lake.open("a/b") as stream:
        assert stream.read() == b"body"


def test_put_replaces_an_object(lake: Store) -> None:
    lake.put("a", b"a longer body")
    lake.put("a", b"short")

    assert lake.get("a") == b"short"


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, 2 * PART_BYTES + 1])
def test_a_stream_of_any_size_arrives_byte_for_byte(lake: Store, size: int) -> None:
    body = os.urandom(size)

    assert lake.put_stream("stream", io.BytesIO(body)) == size

    digest = hashlib.sha256()
    with lake.open("stream") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    assert digest.digest() == hashlib.sha256(body).digest()


@pytest.mark.parametrize("good_bytes", [0, 10, PART_BYTES + 10])
def test_a_stream_that_breaks_leaves_the_object_as_it_was(lake: Store, good_bytes: int) -> None:
    lake.put("a", b"before")

    with pytest.raises(OSError, match="Input/output error"):
        lake.put_stream("a", Failing(good_bytes))

    assert lake.get("a") == b"before"
    assert [found.key for found in lake.list("")] == ["a"]


def test_a_missing_object_is_none_to_get_and_an_error_with_its_key_to_open(lake: Store) -> None:
    lake.put("folder/object", b"")

    assert lake.get("missing") is None
    assert lake.get("folder") is None
    assert lake.get("folder/object/below") is None
    with pytest.raises(LakeError, match="cannot read missing"):
        lake.open("missing")


def test_list_gives_key_size_and_time_in_order_of_key(lake: Store) -> None:
    for key in ("raw/b", "raw/a/2", "raw/a-1", "rest", "raw/a/10"):
        lake.put(key, key.encode())

    found = list(lake.list("raw/a"))

    assert [(item.key, item.size) for item in found] == [("raw/a-1", 7), ("raw/a/10", 8), ("raw/a/2", 7)]
    assert all(abs(item.modified - datetime.now(UTC)) < timedelta(minutes=5) for item in found)
    assert list(lake.list("nothing/here/")) == []


def test_delete_removes_one_object_and_is_no_error_when_there_is_none(lake: Store) -> None:
    lake.put("a", b"")
    lake.put("b", b"")

    lake.delete("a")
    lake.delete("a")

    assert [found.key for found in lake.list("")] == ["b"]


KEYS = st.lists(
    st.text("abc=-_.1", min_size=1, max_size=4).filter(lambda part: part.strip(".")), min_size=1, max_size=3
).map("/".join)


@given(objects=st.dictionaries(KEYS, st.binary(max_size=100), max_size=5))
@hypothesis_settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)
def test_whatever_is_put_is_what_is_listed(lake: Store, objects: dict[str, bytes]) -> None:
    prefix = f"{uuid.uuid4()}/"
    # A directory cannot be a file too: such keys are the one thing the stores do not have in common.
    taken = {
        prefix + key: body for key, body in objects.items() if not any(other.startswith(f"{key}/") for other in objects)
    }
    for key, body in taken.items():
        lake.put(key, body)

    assert [(item.key, item.size) for item in lake.list(prefix)] == sorted((k, len(b)) for k, b in taken.items())
    assert {key: lake.get(key) for key in taken} == taken


def test_a_reader_sees_the_old_object_or_the_new_one_never_a_mix(lake: Store) -> None:
    bodies = [bytes([letter]) * 200_000 for letter in b"ab"]
    lake.put("a", bodies[0])
    seen = []

    def read() -> None:
        for _ in range(50):
            seen.append(lake.get("a"))  # noqa: PERF401  each read is one look

    reader = Thread(target=read)
    reader.start()
    for turn in range(20):
        lake.put("a", bodies[turn % 2])
    reader.join()

    assert set(seen) <= set(bodies)


@pytest.mark.parametrize("key", ["../outside", "/absolute", "a/../../b", ".incomplete/x"])
def test_a_key_cannot_leave_the_directory(tmp_path: Path, key: str) -> None:
    with pytest.raises(LakeError, match="is not a key"):
        LocalStore(tmp_path / "lake").put(key, b"")


def test_a_file_where_the_directory_should_be_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("")

    with pytest.raises(LakeError, match=f"{tmp_path}/lake: cannot create the directory: "):
        LocalStore(tmp_path / "lake").create()


def test_what_a_killed_writer_left_is_invisible_and_removed_after_a_day(tmp_path: Path) -> None:
    script = (
        "import io, os, signal, sys\n"
        "from pathlib import Path\n"
        "from user_analytics.lake.local_store import LocalStore\n"
        "class Killing(io.BytesIO):\n"
        "    def read(self, size=-1):\n"
        "        return super().read(size) or os.kill(os.getpid(), signal.SIGKILL)\n"
        "LocalStore(Path(sys.argv[1])).put_stream('a', Killing(b'x' * 3_000_000))\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    lake = LocalStore(tmp_path)
    (left,) = (tmp_path / ".incomplete").iterdir()

    assert list(lake.list("")) == []
    lake.create()
    assert left.exists()

    yesterday = time.time() - timedelta(hours=25).total_seconds()
    os.utime(left, (yesterday, yesterday))
    lake.create()
    assert not left.exists()


def test_creating_a_store_passes_over_what_another_writer_has_just_finished(tmp_path: Path) -> None:
    lake = LocalStore(tmp_path)
    lake.create()
    (tmp_path / ".incomplete" / "gone").symlink_to("nowhere")  # listed, but not found when looked at

    assert lake.create() is False


def test_a_directory_that_cannot_be_read_is_an_error_not_empty(tmp_path: Path) -> None:
    lake = LocalStore(tmp_path)
    lake.put("readable/object", b"")
    (tmp_path / "raw").symlink_to("raw")  # a loop, which not even root can read

    with pytest.raises(LakeError, match=f"{tmp_path}: cannot list raw/: "):
        lake.list("raw/")
    assert [found.key for found in lake.list("readable/")] == ["readable/object"]


def test_a_server_that_never_answers_is_an_error_after_the_stated_time_without_the_secret(minio: MinioServer) -> None:
    port = free_port()
    settings = minio.settings("lake").model_copy(
        update={"lake_endpoint": f"http://127.0.0.1:{port}", "connect_timeout_seconds": 0.5}
    )
    began = time.monotonic()

    with pytest.raises(Unreachable) as error:
        open_store(settings).get("a")

    assert f"127.0.0.1:{port} did not answer within 0.5 s" in str(error.value)
    assert minio.secret_key not in str(error.value)
    assert time.monotonic() - began < 15


def test_a_server_that_comes_up_late_is_waited_for(private_minio: MinioServer) -> None:
    lake = open_store(private_minio.settings("lake").model_copy(update={"connect_timeout_seconds": 60}))
    lake.create()
    private_minio.stop()

    starter = Timer(1, private_minio.start)
    starter.start()
    try:
        lake.put("a", b"body")
        lake.put_stream("b", io.BytesIO(b"stream"))
    finally:
        starter.join()

    assert (lake.get("a"), lake.get("b")) == (b"body", b"stream")


def test_an_upload_is_taken_up_again_when_the_server_restarts_in_its_middle(private_minio: MinioServer) -> None:
    lake = open_store(private_minio.settings("lake").model_copy(update={"connect_timeout_seconds": 60}))
    lake.create()

    class Restarting(io.BytesIO):
        restarted = False

        def read(self, size: int | None = -1) -> bytes:
            if self.tell() >= PART_BYTES and not self.restarted:
                self.restarted = True
                private_minio.stop()
                starter.start()
            return super().read(size)

    starter = Timer(1, private_minio.start)
    body = os.urandom(3 * PART_BYTES)
    try:
        assert lake.put_stream("a", Restarting(body)) == len(body)
    finally:
        starter.join()

    assert lake.get("a") == body


class LosingAnswers(BaseHTTPRequestHandler):
    """Passes requests on to a server on loopback, but breaks off instead of answering the first completion."""

    protocol_version = "HTTP/1.1"
    port: int
    lost = 0

    def pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if self.command == "POST" and "uploadId=" in self.path and not self.lost:
            type(self).lost += 1
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name not in {"Content-Length", "Transfer-Encoding", "Date", "Server"}:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on  # noqa: N815  names that http.server asks for

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_an_upload_whose_completion_was_not_answered_is_recognised(
    minio: MinioServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LosingAnswers, "port", minio.port, raising=False)
    monkeypatch.setattr(LosingAnswers, "lost", 0)
    body = os.urandom(PART_BYTES + 1)
    with ThreadingHTTPServer(("127.0.0.1", 0), LosingAnswers) as server:
        Thread(target=server.serve_forever, args=(POLL_SECONDS,)).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        lake = open_store(minio.settings("lost-answers").model_copy(update={"lake_endpoint": endpoint}))
        try:
            lake.create()
            assert lake.put_stream("a", io.BytesIO(body)) == len(body)
        finally:
            server.shutdown()

    assert LosingAnswers.lost == 1
    assert open_store(minio.settings("lost-answers")).get("a") == body


@pytest.mark.parametrize(
    ("key", "content_type"),
    [
        ("reports/ds=2010-12-08/index.html", "text/html"),
        ("raw/movie_review/_manifest.json", "application/json"),
        ("raw/movie_review/original.csv.gz", "application/octet-stream"),
        ("raw/movie_review/part", "application/octet-stream"),
    ],
)
def test_an_object_in_a_bucket_has_the_content_type_of_its_name(
    minio: MinioServer, key: str, content_type: str
) -> None:
    settings = minio.settings(f"lake-{uuid.uuid4()}")
    lake = open_store(settings)
    lake.create()
    client = Minio(f"127.0.0.1:{minio.port}", minio.access_key, minio.secret_key, secure=False)

    def found() -> str | None:
        return client.stat_object(lake.url.removeprefix("s3://"), key).content_type

    lake.put(key, b"body")
    assert found() == content_type
    lake.put_stream(key, io.BytesIO(b"stream"))
    assert found() == content_type


@pytest.mark.parametrize("setting", ["lake_access_key", "lake_secret_key"])
def test_a_wrong_key_is_an_error_that_names_the_setting(minio: MinioServer, setting: str) -> None:
    settings = minio.settings("lake").model_copy(update={setting: SecretStr("wrong-secret")})

    with pytest.raises(LakeError, match=f"check {setting.upper()}") as error:
        open_store(settings).get("a")

    assert "wrong-secret" not in str(error.value)


class Broken(BaseHTTPRequestHandler):
    """Answers any GET with the first 10 of 100 bytes, anything else as a web page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"0123456789")

    def do_PUT(self) -> None:
        self.send_response(403)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def broken(minio: MinioServer) -> Iterator[Store]:
    """A store whose server is `Broken`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Broken) as server:
        thread = Thread(target=server.serve_forever, args=(POLL_SECONDS,))
        thread.start()
        try:
            endpoint = f"http://127.0.0.1:{server.server_port}"
            yield open_store(minio.settings("lake").model_copy(update={"lake_endpoint": endpoint}))
        finally:
            server.shutdown()
            thread.join()


def test_a_connection_that_breaks_in_the_middle_of_an_object_is_an_error_with_its_key(broken: Store) -> None:
    with (
        broken.open("raw/part") as stream,
        pytest.raises(LakeError, match="cannot read raw/part: the connection broke"),
    ):
        stream.read()


def test_a_server_that_is_no_object_store_is_an_error_that_says_so(broken: Store) -> None:
    with pytest.raises(LakeError, match=r"at 127.0.0.1:\d+: cannot write a: it does not answer as an S3 server"):
        broken.put("a", b"")


def test_a_missing_bucket_is_an_error_that_says_how_to_create_it(minio: MinioServer) -> None:
    with pytest.raises(LakeError, match=r"s3://not-there at .*NoSuchBucket; create it with `user-analytics create-bu"):
        open_store(minio.settings("not-there")).put("a", b"")


@pytest.mark.parametrize("missing", ["lake_access_key", "lake_secret_key"])
def test_a_bucket_without_its_keys_is_an_error_that_names_the_settings(missing: str) -> None:
    keys_but_one = {"lake_access_key": SecretStr("key"), "lake_secret_key": SecretStr("secret"), missing: None}

    with pytest.raises(SettingsError, match="s3://bucket needs LAKE_ACCESS_KEY and LAKE_SECRET_KEY"):
        open_store(load_settings().model_copy(update={"lake_url": "s3://bucket", **keys_but_one}))


@pytest.fixture(params=["local", "s3"])
def small_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store on a disk of 24 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("mounting a small disk needs root")
    server = None
    try:
        if request.param == "local":
            lake: Store = LocalStore(disk / "lake")
        else:
            server = MinioServer(tmp_path / "minio", request.getfixturevalue("minio_binary"), disk)
            server.start()
            lake = S3Store(server.settings("lake"), "lake")
        lake.create()
        yield lake
    finally:
        if server:
            server.stop()
        subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_an_error_leaves_nothing_and_ends_when_there_is_space(small_store: Store) -> None:
    small_store.put("before", b"x" * 1_000_000)

    with pytest.raises(LakeError, match=r"cannot write big: .*; free space on"):
        small_store.put_stream("big", io.BytesIO(b"x" * 60_000_000))

    assert [item.key for item in small_store.list("")] == ["before"]
    small_store.delete("before")
    small_store.put("after", b"x" * 1_000_000)
    assert small_store.get("after") == b"x" * 1_000_000
