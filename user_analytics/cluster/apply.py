"""`kubectl apply --server-side` through the Kubernetes client."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from kubernetes.client import ApiClient, ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import ResourceNotFoundError

from user_analytics.errors import ClusterError

FIELD_MANAGER = "user-analytics"
RETRY_SECONDS, RETRIES = 1.0, 30


def read_manifests(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """The objects of YAML files, in their order."""
    for file in files:
        yield from filter(None, yaml.safe_load_all(file.read_text(encoding="utf-8")))


def apply(api: ApiClient, objects: Sequence[dict[str, Any]]) -> None:
    """Make the objects as they are written, whatever else was changed of them. Raises ClusterError naming one."""
    client = DynamicClient(api)
    # what others live in or are an instance of comes first
    for body in sorted(objects, key=lambda body: body["kind"] not in {"Namespace", "CustomResourceDefinition"}):
        _apply(client, body)


def _apply(client: DynamicClient, body: dict[str, Any]) -> None:
    metadata = body["metadata"]
    for attempt in range(RETRIES):
        try:
            resource = client.resources.get(api_version=body["apiVersion"], kind=body["kind"])
            resource.server_side_apply(
                body=body,
                name=metadata["name"],
                namespace=metadata.get("namespace"),
                field_manager=FIELD_MANAGER,
                force_conflicts=True,
            )
        except (ApiException, ResourceNotFoundError) as error:
            # a definition that was just applied is not served at once
            if attempt + 1 == RETRIES or not _is_early(error):
                raise ClusterError(f"cannot apply {body['kind']} {metadata['name']}: {error}") from error
            time.sleep(RETRY_SECONDS)
        else:
            return


def _is_early(error: Exception) -> bool:
    return isinstance(error, ResourceNotFoundError) or getattr(error, "status", 0) in {404, 429, 500, 503}
