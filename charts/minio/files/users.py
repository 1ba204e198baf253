"""Makes users of MinIO that may do everything in their buckets and nothing else. Safe to run again."""

import os
import sys
from itertools import count

from minio import MinioAdmin
from minio.credentials import StaticProvider

admin = MinioAdmin(
    endpoint=os.environ["ENDPOINT"],
    credentials=StaticProvider(os.environ["ROOT_USER"], os.environ["ROOT_PASSWORD"]),
    secure=False,
)
for number in count():
    user = os.environ.get(f"USER_{number}")
    if user is None:
        break
    buckets = os.environ[f"BUCKETS_{number}"].split()
    resources = [f"arn:aws:s3:::{bucket}{objects}" for bucket in buckets for objects in ("", "/*")]
    statement = {"Effect": "Allow", "Action": ["s3:*"], "Resource": resources}
    admin.policy_add(policy_name=user, policy={"Version": "2012-10-17", "Statement": [statement]})
    admin.user_add(access_key=user, secret_key=os.environ[f"PASSWORD_{number}"])
    admin.policy_set(policy_name=user, user=user)
    sys.stdout.write(f"{user} may use {', '.join(buckets)}\n")
