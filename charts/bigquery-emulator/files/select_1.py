"""`helm test` of the BigQuery emulator: `select 1` through REST, and a TLS handshake as Storage API clients do it."""

import json
import os
import socket
import ssl
import sys
import urllib.request

HOST, REST_PORT, GRPC_PORT = os.environ["HOST"], int(os.environ["REST_PORT"]), int(os.environ["GRPC_PORT"])

request = urllib.request.Request(
    f"http://{HOST}:{REST_PORT}/bigquery/v2/projects/helm-test/queries",
    data=json.dumps({"query": "select 1 as one", "useLegacySql": False}).encode(),
    headers={"Content-Type": "application/json"},
)
with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
    rows = json.load(response)["rows"]
if rows != [{"f": [{"v": "1"}]}]:
    sys.exit(f"the emulator at {HOST}:{REST_PORT} answered `select 1` with {rows}")

context = ssl.create_default_context(cafile=os.environ["AUTHORITY"])
context.set_alpn_protocols(["h2"])
with (
    socket.create_connection((HOST, GRPC_PORT), timeout=60) as plain,
    context.wrap_socket(plain, server_hostname=HOST) as connection,
):
    if connection.selected_alpn_protocol() != "h2":
        sys.exit(f"the emulator at {HOST}:{GRPC_PORT} does not speak HTTP/2")
sys.stdout.write(f"the emulator at {HOST} answered `select 1`, and its certificate is good\n")
