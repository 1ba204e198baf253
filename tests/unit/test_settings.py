import os
from pathlib import Path

import pytest

from user_analytics.errors import SettingsError
from user_analytics.settings import Settings, load_log_format, load_settings

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def only_the_tests_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_nothing_has_to_be_set() -> None:
    settings = load_settings()

    assert settings.lake_url == ".run/lake"
    assert settings.source_host is None
    assert settings.gcp_project is None


def test_a_variable_of_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("SOURCE_PORT=5433\nSOURCE_USER=reader\n")
    monkeypatch.setenv("SOURCE_PORT", "5434")

    settings = load_settings()

    assert (settings.source_port, settings.source_user) == (5434, "reader")


def test_an_unknown_variable_of_ours_is_named_with_the_one_that_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_PASWORD", "hunter2")

    with pytest.raises(
        SettingsError, match=r"SOURCE_PASWORD: no such setting; did you mean SOURCE_PASSWORD\?"
    ) as error:
        load_settings()
    assert "hunter2" not in str(error.value)


def test_an_unknown_name_in_the_file_is_an_error() -> None:
    Path(".env").write_text("LOOKBACK_DAY=3\n")

    with pytest.raises(SettingsError, match=r"LOOKBACK_DAY: no such setting; did you mean LOOKBACK_DAYS\?"):
        load_settings()


@pytest.mark.parametrize(
    "name",
    [
        "BIGQUERY_EMULATOR_SERVICE_HOST",
        "BIGQUERY_EMULATOR_PORT_9050_TCP",
        "SOURCE_DATE_EPOCH",
        "GCP_PROJECT_ID",
        "PATH",
    ],
)
def test_variables_of_other_software_are_left_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, os.environ.get(name, "10.96.0.7"))

    load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SOURCE_PORT", "70000"),
        ("SOURCE_TIMEZONE", "Mars/Olympus"),
        ("MAX_QUARANTINE_RATIO", "1.5"),
        ("LOOKBACK_DAYS", "-1"),
        ("RAW_RETENTION_DAYS", "36501"),
        ("LEFTOVER_RETENTION_HOURS", "0"),
        ("BIGQUERY_ENDPOINT", "localhost:9050"),
        ("BIGQUERY_GRPC_ENDPOINT", "localhost:99999"),
        ("BIGQUERY_DATASET", "a.b"),
        ("LAKE_URL", "s3:/user-analytics"),
        ("LAKE_URL", "s3://user-analytics/prefix"),
        ("LAKE_URL", "s3://"),
        ("LAKE_URL", "S3://user-analytics"),
        ("LAKE_URL", "gs://user-analytics"),
        ("LAKE_ENDPOINT", "http://localhost:99999"),
        ("LAKE_ENDPOINT", "http://user:hunter2@localhost:9000"),
        ("LAKE_ENDPOINT", "http://user:hunter2"),
        ("LAKE_ENDPOINT", "http://user:hunter2/x@localhost:9000"),
        ("LAKE_ENDPOINT", "http://a b:9000"),
        ("BIGQUERY_GRPC_ENDPOINT", "http://localhost:9060"),
        ("CONNECT_TIMEOUT_SECONDS", "inf"),
        ("CONNECT_TIMEOUT_SECONDS", "0.0001"),
        ("BIGQUERY_LABELS", "app=x"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_malformed_value_is_an_error_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=name) as error:
        load_settings()
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"BIGQUERY_ENDPOINT": "http://h:1", "BIGQUERY_GRPC_ENDPOINT": "h:2"}, "need GCP_PROJECT"),
        ({"BIGQUERY_ENDPOINT": "http://h:1", "GCP_PROJECT": "p"}, "BIGQUERY_GRPC_ENDPOINT go together"),
        ({"SOURCE_PASSWORD": "hunter2"}, "SOURCE_PASSWORD needs SOURCE_HOST"),
    ],
)
def test_a_setting_that_would_be_ignored_is_an_error(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=message):
        load_settings()


def test_all_problems_are_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_PORT", "many")
    monkeypatch.setenv("LAKE_URI", "s3://b")

    with pytest.raises(SettingsError, match=r"(?s)LAKE_URI.*SOURCE_PORT"):
        load_settings()


@pytest.mark.parametrize(
    ("dotenv", "log_format"),
    [
        ("LOG_FORMAT=json\nSOURCE_PORT=many\nLAKE_URI=s3://b", "json"),
        ("LOG_FORMAT=xml", "auto"),
        ("LOG_FORMAT=json\n\xff", "auto"),
    ],
    ids=["others at fault", "itself at fault", "unreadable"],
)
def test_the_log_format_is_known_while_settings_are_at_fault(dotenv: str, log_format: str) -> None:
    Path(".env").write_text(dotenv, encoding="latin-1")

    assert load_log_format() == log_format
    with pytest.raises(SettingsError):
        load_settings()


def test_a_file_that_is_not_text_is_an_error_that_names_it() -> None:
    Path(".env").write_bytes(b"SOURCE_USER=\xff")

    with pytest.raises(SettingsError, match=r"cannot read \.env: .*can't decode byte 0xff"):
        load_settings()


def test_secrets_do_not_print(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_HOST", "db")
    for name in ("SOURCE_PASSWORD", "LAKE_ACCESS_KEY", "LAKE_SECRET_KEY"):
        monkeypatch.setenv(name, "hunter2")

    settings = load_settings()

    assert "hunter2" not in f"{settings} {settings!r} {settings.model_dump_json()}"


def test_the_example_file_lists_every_setting_with_its_default_and_what_it_means() -> None:
    lines = (REPOSITORY / ".env.example").read_text().splitlines()
    listed = {line.split("=")[0].lstrip("# ").lower(): line for line in lines if "=" in line}

    assert set(listed) == set(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        assert str(field.description) in listed[name]


def test_the_readme_lists_every_setting_and_what_it_means() -> None:
    readme = (REPOSITORY / "README.md").read_text()

    for name, field in Settings.model_fields.items():
        assert f"| `{name.upper()}` |" in readme
        assert f"| {field.description} |" in readme


def test_the_example_file_is_accepted_with_every_line_in_force() -> None:
    example = (REPOSITORY / ".env.example").read_text()
    Path(".env").write_text(
        "\n".join(line.removeprefix("# ") if "=" in line else line for line in example.splitlines())
    )

    load_settings()
