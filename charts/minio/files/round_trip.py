"""`helm test` of MinIO: write, read and delete an object through the S3 API, in a bucket of its own."""

import io
import os
import sys
import uuid

from minio import Minio

client = Minio(
    os.environ["ENDPOINT"],
    access_key=os.environ["ACCESS_KEY"],
    secret_key=os.environ["SECRET_KEY"],
    secure=False,
)
bucket, key, content = f"helm-test-{uuid.uuid4()}", "folder/object", os.urandom(64 << 10)
client.make_bucket(bucket_name=bucket)
try:
    client.put_object(bucket_name=bucket, object_name=key, data=io.BytesIO(content), length=len(content))
    response = client.get_object(bucket_name=bucket, object_name=key)
    try:
        read = response.read()
    finally:
        response.close()
        response.release_conn()
finally:
    client.remove_object(bucket_name=bucket, object_name=key)
    client.remove_bucket(bucket_name=bucket)
if read != content:
    sys.exit(f"MinIO at {os.environ['ENDPOINT']} gave back other bytes than were written")
sys.stdout.write(f"MinIO at {os.environ['ENDPOINT']}: wrote, read and deleted {len(content)} bytes\n")
