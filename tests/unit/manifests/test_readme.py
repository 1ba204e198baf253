"""The README of the manifests lists every parameter with its default."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from user_analytics.render import MANIFESTS, JobParameters, Parameters, SparkParameters

README = Path(__file__).parents[3] / "manifests" / "README.md"


def default(value: object) -> str:
    if value is None or value == "":
        return ""
    text = value if isinstance(value, str) else json.dumps(value, default=float)
    return f"`{text}`"


def rows(model: type[Parameters], inherited: Iterable[str] = (), of: str = "") -> list[str]:
    return [
        f"| `{name}` |{of} {default(field.default)} | {field.description} |"
        for name, field in model.model_fields.items()
        if name not in inherited
    ]


def own_rows() -> list[str]:
    return [
        row
        for name, model in MANIFESTS.items()
        for row in rows(model, model.__bases__[0].model_fields, of=f" `{name}` |")  # type: ignore[attr-defined]
    ]


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("Of all manifests:", rows(Parameters)),
        ("Of Spark applications:", rows(SparkParameters, Parameters.model_fields)),
        ("Of Jobs:", rows(JobParameters, Parameters.model_fields)),
        ("Of one manifest alone:", own_rows()),
    ],
)
def test_every_parameter_is_listed_with_its_default(heading: str, expected: list[str]) -> None:
    table = README.read_text().split(heading)[1].lstrip("\n").split("\n\n")[0].splitlines()
    assert re.fullmatch(r"[|-]+", table[1])
    assert table[2:] == expected
