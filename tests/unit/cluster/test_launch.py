"""How the end of what was launched is told, and which parameters its stages take."""

from collections.abc import Mapping
from typing import Any

import pytest

from user_analytics.cluster.launch import WORK, Ended, stage_parameters
from user_analytics.errors import SettingsError


def job(condition: str, message: str = "") -> Mapping[str, Any]:
    """As the API gives it back; conditions that are no end come first."""
    return {
        "status": {
            "conditions": [
                {"type": "SuccessCriteriaMet", "status": "True"},
                {"type": condition, "status": "True", "message": message},
            ]
        }
    }


def application(state: str, **more: str) -> Mapping[str, Any]:
    return {"status": {"applicationState": {"state": state, **more}}}


@pytest.mark.parametrize(
    ("kind", "read", "ended"),
    [
        ("Job", {"status": {}}, None),
        ("Job", {"status": {"conditions": None}}, None),
        ("Job", {"status": {"conditions": [{"type": "Complete", "status": "False"}]}}, None),
        ("Job", job("Complete"), Ended(succeeded=True, message="")),
        ("Job", job("Failed", "it took too long"), Ended(succeeded=False, message="it took too long")),
        ("SparkApplication", {}, None),
        ("SparkApplication", application(""), None),
        ("SparkApplication", application("RUNNING"), None),
        ("SparkApplication", application("FAILING"), None),
        ("SparkApplication", application("COMPLETED"), Ended(succeeded=True, message="COMPLETED")),
        (
            "SparkApplication",
            application("FAILED", errorMessage="driver container failed"),
            Ended(succeeded=False, message="driver container failed"),
        ),
        (
            "SparkApplication",
            application("SUBMISSION_FAILED"),
            Ended(succeeded=False, message="SUBMISSION_FAILED"),
        ),
    ],
)
def test_the_end_is_told_by_the_cluster_s_own_words(kind: str, read: Mapping[str, Any], ended: Ended | None) -> None:
    assert WORK[kind].ended(read) == ended


def test_each_stage_gets_the_parameters_that_it_has() -> None:
    given = ["mode=incremental", "reviews_source=s3://bucket/key=1.csv"]

    assert stage_parameters(given, ["ingest-reviews", "ingest-purchases"]) == {
        "ingest-reviews": {"reviews_source": "s3://bucket/key=1.csv"},
        "ingest-purchases": {"mode": "incremental"},
    }


def test_a_parameter_that_no_stage_has_is_refused_by_its_name() -> None:
    with pytest.raises(SettingsError, match="forse: no such parameter of publish"):
        stage_parameters(["forse=true"], ["publish"])
