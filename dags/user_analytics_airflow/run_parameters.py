"""What a run can be told, in the UI's form and by the API: some parameters of the manifests, checked by their types."""

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Param

from user_analytics.render import MANIFESTS
from user_analytics_airflow.deployment import Deployment

# Of which manifest each one is.
OF_MANIFEST: Mapping[str, str] = {
    "mode": "ingest-purchases",
    "lookback_days": "ingest-purchases",
    "model_version": "movie-review",
    "force": "publish",
}


def run_parameters(deployment: Deployment) -> dict[str, Param]:
    """The parameters of a run of `user_analytics_dag`."""
    return {name: _parameter(name, manifest, deployment) for name, manifest in OF_MANIFEST.items()}


def fixed_parameters(manifest: str, deployment: Deployment) -> dict[str, Any]:
    """The parameters of a manifest that a run cannot change."""
    return {name: value for name, value in deployment.parameters_of(manifest).items() if name not in OF_MANIFEST}


def _parameter(name: str, manifest: str, deployment: Deployment) -> Param:
    schema = dict(MANIFESTS[manifest].model_json_schema()["properties"][name])
    # the form shows a field for an optional number, but none for a choice of schemas
    for option in schema.pop("anyOf", []):
        schema |= {key: value for key, value in option.items() if key != "type"}
        schema["type"] = [*schema.get("type", []), option["type"]]
    schema.pop("default")
    return Param(deployment.parameters_of(manifest)[name], schema.pop("description"), **schema)
