"""`helm test` of Airflow: sign in, see that all is healthy and that the DAGs are there without an error."""

import json
import os
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

URL = os.environ["URL"]
WANTED = {"user_analytics_dag", "user_analytics_clean_up_dag"}
DEADLINE = time.monotonic() + 180


def ask(path: str, token: str | None = None, body: object = None) -> Any:
    """What the API answers, as parsed JSON."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(URL + path, json.dumps(body).encode() if body else None, headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        return json.load(response)


def problem(token: str) -> str:
    """What is not as it should be; empty when all is."""
    health = ask("/api/v2/monitor/health")
    for component in ("metadatabase", "scheduler", "dag_processor"):
        if health[component]["status"] != "healthy":
            return f"{component} is {health[component]['status']}"
    errors = ask("/api/v2/importErrors", token)["import_errors"]
    if errors:
        return f"{errors[0]['filename']}: {errors[0]['stack_trace']}"
    missing = WANTED - {dag["dag_id"] for dag in ask("/api/v2/dags", token)["dags"]}
    return f"there is no {', '.join(sorted(missing))}" if missing else ""


user, password = next(iter(json.loads(Path(os.environ["PASSWORDS_FILE"]).read_text(encoding="utf-8")).items()))
access = ask("/auth/token", body={"username": user, "password": password})["access_token"]
while (wrong := problem(access)) and time.monotonic() < DEADLINE:
    time.sleep(2)
if wrong:
    sys.exit(wrong)
sys.stdout.write(f"{URL}: all is healthy, and {', '.join(sorted(WANTED))} are there\n")
