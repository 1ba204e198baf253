"""A bucket on MinIO or S3 as an object store, through the minio client."""

import mimetypes
import os
from collections.abc import Callable, Iterator
from io import BufferedReader, BytesIO, RawIOBase
from typing import BinaryIO, TypeVar
from urllib.parse import urlsplit

import certifi
import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3.exceptions import HTTPError

from user_analytics.errors import LakeError, SettingsError
from user_analytics.lake.stored_object import StoredObject
from user_analytics.retries import until_reachable
from user_analytics.settings import Settings

Result = TypeVar("Result")

PART_BYTES = 16 << 20
"""Memory one upload takes; S3's 10,000 parts make it 156 GiB for the largest object."""

READ_BYTES = 1 << 20

REMEDIES = {
    "NoSuchBucket": "; create it with `user-analytics create-bucket`",
    "AccessDenied": "; check LAKE_ACCESS_KEY, LAKE_SECRET_KEY and the bucket's policy",
    "InvalidAccessKeyId": "; check LAKE_ACCESS_KEY",
    "SignatureDoesNotMatch": "; check LAKE_SECRET_KEY",
    "XMinioStorageFull": "; free space on the server",
}


def split_url(url: str) -> tuple[str, str]:
    """`s3://BUCKET/KEY` as (bucket, key); the key may be empty."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    if not url.startswith("s3://") or not bucket:
        raise SettingsError(f"{url} is not of the form s3://BUCKET/KEY")
    return bucket, key


class S3Store:
    """Objects of one bucket at LAKE_ENDPOINT. S3 itself shows an object only when it is whole."""

    def __init__(self, settings: Settings, bucket: str) -> None:
        if settings.lake_access_key is None or settings.lake_secret_key is None:
            raise SettingsError(f"s3://{bucket} needs LAKE_ACCESS_KEY and LAKE_SECRET_KEY")
        endpoint = urlsplit(settings.lake_endpoint)
        secure = endpoint.scheme == "https"
        self.url = f"s3://{bucket}"
        self._bucket = bucket
        self._address = f"{endpoint.hostname}:{endpoint.port or (443 if secure else 80)}"
        self._timeout_seconds = settings.connect_timeout_seconds
        self._region = settings.lake_region
        self._client = Minio(
            endpoint.netloc,
            access_key=settings.lake_access_key.get_secret_value(),
            secret_key=settings.lake_secret_key.get_secret_value(),
            secure=secure,
            region=settings.lake_region,
            http_client=urllib3.PoolManager(
                timeout=urllib3.Timeout(connect=5, read=60),
                ca_certs=os.environ.get("SSL_CERT_FILE") or certifi.where(),
                # A connection that breaks between two parts of an upload is taken up again here;
                # a server that stays away is waited for in _call.
                retries=urllib3.Retry(
                    total=5,
                    connect=2,
                    read=2,
                    backoff_factor=0.2,
                    status_forcelist=(500, 502, 503, 504),
                    raise_on_status=False,
                    allowed_methods=None,  # each S3 request of ours may be sent twice (completions: see put_stream)
                ),
            ),
        )

    def create(self) -> bool:
        """Create the bucket; False when it was there already."""

        def create() -> bool:
            if self._client.bucket_exists(bucket_name=self._bucket):
                return False
            try:
                self._client.make_bucket(bucket_name=self._bucket, location=self._region)
            except S3Error as error:
                if error.code == "BucketAlreadyOwnedByYou":
                    return False
                raise
            return True

        return self._call("cannot create the bucket", create)

    def put(self, key: str, body: bytes) -> None:
        """Write a small object, replacing the one that was there."""
        self._call(
            f"cannot write {key}",
            lambda: self._client.put_object(
                bucket_name=self._bucket,
                object_name=key,
                data=BytesIO(body),
                length=len(body),
                content_type=_content_type(key),
            ),
        )

    def put_stream(self, key: str, stream: BinaryIO) -> int:
        """Write an object of any size in constant memory, by multipart upload; returns its size in bytes.

        A stream that can seek is sent again from its start when the server was away for a while. The parts
        that a killed writer leaves are no object: MinIO removes them after a day, S3 when the bucket has a
        lifecycle rule with AbortIncompleteMultipartUpload (which MinIO refuses).
        """
        start = stream.tell() if stream.seekable() else None
        counted = _Counted(stream)

        def upload() -> int:
            if counted.size and start is not None:
                stream.seek(start)
                counted.size = 0
            try:
                self._client.put_object(
                    bucket_name=self._bucket,
                    object_name=key,
                    data=counted,  # type: ignore[arg-type]
                    length=-1,
                    content_type=_content_type(key),
                    part_size=PART_BYTES,
                    num_parallel_uploads=1,
                )
            except S3Error as error:
                # Also the answer to a repeated completion, when that to the first was lost.
                if error.code != "NoSuchUpload" or self._size(key) != counted.size:
                    raise
            return counted.size

        return self._call(f"cannot write {key}", upload, can_repeat=lambda: start is not None or not counted.size)

    def get(self, key: str) -> bytes | None:
        """The whole object, or None when it does not exist."""

        def get() -> bytes | None:
            try:
                response = self._client.get_object(bucket_name=self._bucket, object_name=key)
            except S3Error as error:
                if error.code == "NoSuchKey":
                    return None
                raise
            try:
                return response.read()
            finally:
                response.release_conn()

        return self._call(f"cannot read {key}", get)

    def open(self, key: str) -> BinaryIO:
        """Stream an object from its start; raises LakeError when it does not exist."""
        failure = f"cannot read {key}"
        response = self._call(failure, lambda: self._client.get_object(bucket_name=self._bucket, object_name=key))
        return BufferedReader(_Body(response, f"{self.url}: {failure}: the connection broke"), READ_BYTES)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """All objects whose key starts with `prefix`, in order of key."""
        found = self._call(
            f"cannot list {prefix}",
            lambda: [*self._client.list_objects(bucket_name=self._bucket, prefix=prefix, recursive=True)],
        )
        for item in found:
            if not item.object_name.endswith("/"):
                yield StoredObject(item.object_name, item.size, item.last_modified)

    def delete(self, key: str) -> None:
        """Delete an object; one that does not exist is no error."""
        self._call(
            f"cannot delete {key}",
            lambda: self._client.remove_object(bucket_name=self._bucket, object_name=key),
        )

    def _size(self, key: str) -> int | None:
        try:
            return self._client.stat_object(bucket_name=self._bucket, object_name=key).size
        except S3Error as error:
            if error.code == "NoSuchKey":
                return None
            raise

    def _call(
        self, failure: str, operation: Callable[[], Result], can_repeat: Callable[[], bool] = lambda: True
    ) -> Result:
        try:
            return until_reachable(
                "the object store",
                self._address,
                self._timeout_seconds,
                operation,
                lambda error: isinstance(error, HTTPError) and can_repeat(),
            )
        except S3Error as error:
            remedy = REMEDIES.get(error.code or "", "")
            raise LakeError(f"{self.url} at {self._address}: {failure}: {error.code}{remedy}") from error
        except (ServerError, InvalidResponseError) as error:
            raise LakeError(f"{self.url} at {self._address}: {failure}: it does not answer as an S3 server") from error
        except (HTTPError, MinioException, ValueError) as error:
            raise LakeError(f"{self.url} at {self._address}: {failure}: {error}") from error


def _content_type(key: str) -> str:
    """What a browser needs to show an object instead of saving it."""
    kind, encoding = mimetypes.guess_type(key)
    return "application/octet-stream" if kind is None or encoding else kind


class _Counted:
    """A stream that counts what was read from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.size = 0

    def read(self, size: int) -> bytes:
        block = self._stream.read(size)
        self.size += len(block)
        return block


class _Body(RawIOBase):
    """An object's bytes as they arrive; gives the connection back when closed."""

    def __init__(self, response: urllib3.BaseHTTPResponse, failure: str) -> None:
        self._response = response
        self._failure = failure

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            block = self._response.read(len(buffer))
        except HTTPError as error:
            raise LakeError(self._failure) from error
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        if not self.closed:
            self._response.close()
            self._response.release_conn()
        super().close()
