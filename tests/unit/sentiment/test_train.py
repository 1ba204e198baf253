import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tests.unit.sentiment.conftest import Train, Trained, labelled_reviews, no_file_larger_than
from user_analytics.cli import app
from user_analytics.errors import InputError, ModelError, UserAnalyticsError
from user_analytics.sentiment.score import score


def written(table: pa.Table, path: Path) -> Path:
    pq.write_table(table, path)
    return path


def test_the_same_file_gives_the_same_bytes(train: Train, trained: Trained, tmp_path: Path) -> None:
    train([trained.labelled], tmp_path)
    for name in ("model.parquet", "model_card.md", "calibration.svg"):
        assert (tmp_path / name).read_bytes() == (trained.folder / name).read_bytes()


def test_other_reviews_give_another_version(train: Train, trained: Trained, tmp_path: Path) -> None:
    other = train([written(labelled_reviews(seed=9), tmp_path / "other.parquet")], tmp_path)
    assert other.version != trained.model.version


def test_csv_and_parquet_give_the_same_weights(train: Train, trained: Trained, tmp_path: Path) -> None:
    pa_csv.write_csv(labelled_reviews(), tmp_path / "labelled.csv")
    from_csv = train([tmp_path / "labelled.csv"], tmp_path)
    texts = pa.array(["great plot", "dull plot", "not good"])
    assert score(from_csv, texts).equals(score(trained.model, texts))


def test_reviews_may_come_in_several_files(train: Train, trained: Trained, tmp_path: Path) -> None:
    table = labelled_reviews()
    halves = [written(table.slice(start, 200), tmp_path / f"{start}.parquet") for start in (0, 200)]
    model = train(halves, tmp_path)
    assert [file.rows for file in model.training.files] == [200, 200]
    assert model.weights.tolist() == trained.model.weights.tolist()


def test_every_review_is_judged_once_by_a_model_of_the_other_folds(train: Train, tmp_path: Path) -> None:
    table = labelled_reviews().sort_by([("source", "ascending"), ("label", "ascending")])
    model = train([written(table, tmp_path / "labelled.parquet")], tmp_path)

    validation = model.validation
    assert validation is not None
    assert (validation.folds, validation.total.rows) == (5, 400)
    assert {source: each.rows for source, each in validation.by_source.items()} == model.training.rows_by_source
    positive_rows = sum(each.rows * each.positive_share for each in validation.calibration)
    assert positive_rows == pytest.approx(200, abs=1)


def test_labels_of_chance_are_not_validated_as_learnt(train: Train, tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    table = labelled_reviews().set_column(1, "label", pa.array(chance.integers(0, 2, 400)))
    validation = train([written(table, tmp_path / "labelled.parquet")], tmp_path).validation
    assert validation is not None
    assert 0.4 < validation.total.accuracy < 0.6


def test_unlabelled_reviews_teach_words_that_stand_beside_known_ones(
    train: Train, trained: Trained, tmp_path: Path
) -> None:
    praise = [f"great lovely zesty unseen{number}" for number in range(30)]
    blame = [f"awful dull grim unseen{number}" for number in range(30)]
    unlabelled = written(pa.table({"review_str": [*praise, *blame, praise[0]]}), tmp_path / "unlabelled.parquet")

    model = train([trained.labelled], tmp_path, [unlabelled])

    assert [(file.name, file.rows) for file in model.training.unlabelled_files] == [("unlabelled.parquet", 61)]
    assert model.training.pseudo_labelled_rows == 60  # of equal texts one is kept
    assert score(trained.model, pa.array(["zesty", "grim"])).to_pylist() == [None, None]
    zesty, grim = score(model, pa.array(["zesty", "grim"])).to_pylist()
    assert grim < 0.5 < zesty


def test_a_model_trained_on_clear_reviews_is_right_about_unseen_ones(trained: Trained) -> None:
    validation = trained.model.validation
    assert validation is not None
    assert validation.total.accuracy > 0.8


def test_a_file_without_sources_is_a_source_of_its_own(train: Train, tmp_path: Path) -> None:
    path = written(labelled_reviews().drop_columns(["source"]), tmp_path / "my reviews.parquet")
    assert train([path], tmp_path).training.rows_by_source == {"my reviews": 400}


def test_of_equal_reviews_one_is_kept(train: Train, tmp_path: Path) -> None:
    table = labelled_reviews()
    path = written(pa.concat_tables([table, table.slice(0, 30)]), tmp_path / "labelled.parquet")
    training = train([path], tmp_path).training
    assert (training.files[0].rows, training.rows, training.duplicate_rows) == (430, 400, 30)


def test_a_common_word_is_kept_though_pairs_say_more_about_the_label(
    train: Train, trained: Trained, tmp_path: Path
) -> None:
    from user_analytics.sentiment.fit import Parameters  # noqa: PLC0415 - as in conftest.py

    def kept(always_kept_rows: int) -> list[str]:
        train([trained.labelled], tmp_path, parameters=Parameters(ngrams=40, always_kept_rows=always_kept_rows))
        ngrams: list[str] = pq.read_table(tmp_path / "model.parquet")["ngram"].to_pylist()
        return ngrams

    assert "film" in kept(always_kept_rows=100)
    assert "film" not in kept(always_kept_rows=401)


def test_no_more_ngrams_are_kept_than_asked_for(train: Train, trained: Trained, tmp_path: Path) -> None:
    from user_analytics.sentiment.fit import Parameters  # noqa: PLC0415 - as in conftest.py

    assert len(train([trained.labelled], tmp_path, parameters=Parameters(ngrams=60)).weights) == 60


def test_the_card_states_data_and_measured_accuracy(trained: Trained) -> None:
    card = (trained.folder / "model_card.md").read_text()
    validation = trained.model.validation
    assert validation is not None
    assert trained.model.version in card
    assert trained.model.training.files[0].sha256 in card
    assert f"| all | 400 | 0 | {validation.total.accuracy:.1%} ± {validation.total.accuracy_interval:.1%} |" in card


@pytest.mark.parametrize("column", ["review_str", "label"])
def test_a_missing_column_is_named(train: Train, column: str, tmp_path: Path) -> None:
    path = written(labelled_reviews().drop_columns([column]), tmp_path / "labelled.parquet")
    with pytest.raises(InputError, match=rf"labelled\.parquet has no column {column}"):
        train([path], tmp_path)


@pytest.mark.parametrize("label", ["2", "", "positive", None])
def test_a_label_other_than_0_and_1_is_refused_with_its_row(train: Train, label: str | None, tmp_path: Path) -> None:
    table = labelled_reviews()
    labels = table["label"].cast(pa.string()).to_pylist()
    labels[4] = label
    path = written(table.set_column(1, "label", pa.array(labels)), tmp_path / "labelled.parquet")
    with pytest.raises(InputError, match=rf"labelled\.parquet, row 5: label is {label!r}; it must be 1 .* or 0"):
        train([path], tmp_path)


def test_a_labelled_row_without_text_is_refused_with_its_row(train: Train, tmp_path: Path) -> None:
    table = labelled_reviews()
    texts = [*table["review_str"].to_pylist()[:-1], None]
    path = written(table.set_column(0, "review_str", pa.array(texts)), tmp_path / "labelled.parquet")
    with pytest.raises(InputError, match=r"labelled\.parquet, row 400: review_str is null"):
        train([path], tmp_path)


def test_reviews_of_one_label_only_are_refused(train: Train, tmp_path: Path) -> None:
    table = labelled_reviews()
    path = written(table.filter(pa.compute.equal(table["label"], 1)), tmp_path / "labelled.parquet")
    with pytest.raises(ModelError, match="0 different reviews with label 0 are too few"):
        train([path], tmp_path)


def test_too_few_reviews_are_refused(train: Train, tmp_path: Path) -> None:
    path = written(labelled_reviews(rows=98), tmp_path / "labelled.parquet")
    with pytest.raises(ModelError, match=r"49 different reviews with label 0 are too few .* at least 50"):
        train([path], tmp_path)


@pytest.mark.parametrize("text", ["only{0}", "only{0} !", "! ? !"])
def test_reviews_without_a_common_word_are_refused(train: Train, text: str, tmp_path: Path) -> None:
    records = [{"review_str": text.format(number) + " " * number, "label": number % 2} for number in range(200)]
    path = written(pa.Table.from_pylist(records), tmp_path / "labelled.parquet")
    with pytest.raises(ModelError, match="no word occurs in 3 of 160 reviews"):
        train([path], tmp_path)


def test_without_scikit_learn_the_command_that_installs_it_is_named(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "user_analytics.sentiment.train")
    monkeypatch.setitem(sys.modules, "sklearn", None)

    error = CliRunner().invoke(app, ["train", str(trained.labelled), f"--output={tmp_path}"]).exception

    assert isinstance(error, ModelError)
    assert str(error) == "training needs sklearn, which is not installed: pip install 'user-analytics[train]'"


def test_an_output_that_is_a_file_is_refused_by_name(train: Train, trained: Trained) -> None:
    with pytest.raises(UserAnalyticsError, match=rf"cannot write the model into {trained.labelled}"):
        train([trained.labelled], trained.labelled)


def test_a_disk_that_is_full_leaves_model_and_card_as_they_were(train: Train, trained: Trained, tmp_path: Path) -> None:
    names = ("model.parquet", "model_card.md", "calibration.svg")
    for name in names:
        (tmp_path / name).write_bytes(b"before")

    failure = rf"cannot write the model into {tmp_path}: .*File too large"
    with no_file_larger_than(5000), pytest.raises(UserAnalyticsError, match=failure):
        train([trained.labelled], tmp_path)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == dict.fromkeys(names, b"before")


def test_marks_alone_are_no_ngram_of_a_model(trained: Trained) -> None:
    assert any("!" in ngram for ngram in trained.model.ngrams)
    assert not any(set(ngram) <= set("!? ") for ngram in trained.model.ngrams)
