"""What the README says of the packaged model is what the model says of itself."""

from pathlib import Path

from tests.unit.sentiment.conftest import packaged

README = Path(__file__).resolve().parents[3] / "README.md"


def test_the_readme_gives_the_measured_accuracy_of_the_packaged_model() -> None:
    model = packaged()
    assert model.validation is not None
    measured = [
        f"| {each.rows:,} | {each.accuracy:.1%} ± {each.accuracy_interval:.1%} | {each.calibration_error:.3f} |"
        for each in model.validation.by_source.values()
    ]

    rows = [
        line
        for line in README.read_text("utf-8").splitlines()
        if line.startswith(tuple(f"| {source} (" for source in model.validation.by_source))
    ]

    assert [row[row.index(") ") + 2 :] for row in rows] == measured
    assert f"{len(model.ngrams):,} n-grams" in README.read_text("utf-8")
