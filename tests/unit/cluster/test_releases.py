"""What a release is known by, and the values that Helm is given."""

import json
from pathlib import Path

from user_analytics.cluster.releases import Release


def release(chart: Path, **changes: object) -> Release:
    return Release(**{"name": "minio", "namespace": "user-analytics", "chart": chart, **changes})  # type: ignore[arg-type]


def test_a_release_is_known_by_its_chart_its_values_file_and_its_values(tmp_path: Path) -> None:
    chart, values = tmp_path / "chart", tmp_path / "values.yaml"
    chart.mkdir()
    (chart / "Chart.yaml").write_text("name: minio\n")
    values.write_text("replicas: 1\n")
    contents = [release(chart).content(), release(chart, values_file=values).content()]

    (chart / "Chart.yaml").write_text("name: another\n")
    contents.append(release(chart).content())
    values.write_text("replicas: 2\n")
    contents.append(release(chart, values_file=values).content())
    contents.append(release(chart, values={"image": {"tag": "1"}}).content())

    assert len(set(contents)) == len(contents)


def test_the_order_of_values_does_not_matter(tmp_path: Path) -> None:
    one = release(tmp_path, values={"a": 1, "b": 2})
    other = release(tmp_path, values={"b": 2, "a": 1})

    assert one.content() == other.content()


def test_a_tag_of_digits_alone_stays_a_text(tmp_path: Path) -> None:
    given = release(tmp_path, values={"image": {"tag": "1234567890123456"}, "console": {"nodePort": 30901}})

    assert json.loads(given.values_as_json()) == {
        "image": {"tag": "1234567890123456"},
        "console": {"nodePort": 30901},
    }
