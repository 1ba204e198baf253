"""SparkApplications are what the operator's definition allows, where a field that it does not know is an error."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from user_analytics.render import MANIFESTS, SparkParameters, render

SCHEMA = Path(__file__).parents[3] / "manifests" / "schemas" / "sparkapplication_v1beta2.json"
APPLICATIONS = [name for name, model in MANIFESTS.items() if issubclass(model, SparkParameters)]
VARIANTS: dict[str, dict[str, object]] = {
    "defaults": {},
    "a generated name": {"generate_name": True},
    "dynamic allocation": {"max_executors": 10, "decommissioning": True},
    "spot nodes": {
        "executor_node_selector": {"spot": "true"},
        "executor_tolerations": [{"key": "spot", "operator": "Exists", "tolerationSeconds": 5}],
        "driver_node_selector": {"spot": "false"},
        "driver_tolerations": [{"key": "pool", "value": "drivers", "effect": "NoSchedule"}],
    },
    "real BigQuery": {
        "bigquery_endpoint": None,
        "bigquery_grpc_endpoint": None,
        "google_credentials_secret": "google",
        "bigquery_maximum_bytes_billed": 10**10,
    },
    "a private registry": {"image": "registry.example/spark@sha256:0123", "image_pull_secrets": ["registry"]},
    "no options for Java": {"java_options": "", "bigquery_endpoint": None, "bigquery_grpc_endpoint": None},
}


def errors(manifest: Any) -> list[str]:
    validator = Draft202012Validator(json.loads(SCHEMA.read_text()))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(manifest)]


def application() -> Any:
    return yaml.safe_load(render("movie-review", date(2010, 12, 8)))


@pytest.mark.parametrize("name", APPLICATIONS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_is_what_the_operator_takes(name: str, variant: str) -> None:
    assert errors(yaml.safe_load(render(name, date(2010, 12, 8), VARIANTS[variant]))) == []


def test_a_field_that_the_operator_does_not_know_is_refused() -> None:
    manifest = application()
    manifest["spec"]["driver"]["coreLimits"] = "1"
    assert errors(manifest) == ["$.spec.driver: Additional properties are not allowed ('coreLimits' was unexpected)"]


def test_a_value_of_the_wrong_type_is_refused() -> None:
    manifest = application()
    manifest["spec"]["executor"]["instances"] = "1"
    assert errors(manifest) == ["$.spec.executor.instances: '1' is not of type 'integer'"]
