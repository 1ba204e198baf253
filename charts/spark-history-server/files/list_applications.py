"""`helm test` of the Spark History Server: ask it over HTTP for its version and its applications."""

import json
import os
import sys
import urllib.request

URL = os.environ["URL"]


def answer(path: str) -> object:
    """What the server's REST API says, as parsed JSON."""
    with urllib.request.urlopen(f"{URL}/api/v1/{path}", timeout=60) as response:  # noqa: S310
        return json.load(response)


version, applications = answer("version"), answer("applications?minEndDate=1970-01-01")
if not isinstance(version, dict) or not version.get("spark") or not isinstance(applications, list):
    sys.exit(f"{URL} does not answer as a Spark History Server: {version} {applications}")
sys.stdout.write(f"{URL} shows {len(applications)} applications of Spark, version {version['spark']}\n")
