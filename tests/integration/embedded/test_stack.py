"""The embedded stack as one: what a command needs, for one command at a time, on data that stays."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Timer

import psutil
import pytest

from tests.fixtures.ports import free_port
from user_analytics.embedded import remove as removal
from user_analytics.embedded import stack
from user_analytics.embedded.postgres import remove_data
from user_analytics.embedded.processes import recorded_processes, stop_leftovers
from user_analytics.embedded.stack import Part, embedded_stack, locked
from user_analytics.embedded.warehouse import EmulatorServer
from user_analytics.errors import InputError, ServerDied, StackError, StageFailed
from user_analytics.settings import Settings
from user_analytics.warehouse.client import open_warehouse

HOLD = """
import pathlib, sys, time
from user_analytics.embedded.stack import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def settings_in(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return Settings(_env_file=None, run_dir=run_dir)  # type: ignore[call-arg]


@contextmanager
def emptied(run_dir: Path) -> Iterator[Path]:
    yield run_dir
    stop_leftovers(run_dir)
    remove_data(run_dir)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """With a run directory of the test's own, which is not there yet."""
    with emptied(tmp_path / "run") as run_dir:
        yield settings_in(run_dir, monkeypatch)


@pytest.fixture(scope="module")
def used_run_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One that several commands use, of which only the first makes a database."""
    with emptied(tmp_path_factory.mktemp("used") / "run") as run_dir:
        yield run_dir


@pytest.fixture
def used(used_run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """With a run directory in which other commands may have run, well or not."""
    return settings_in(used_run_dir, monkeypatch)


@contextmanager
def start_holder(settings: Settings) -> Iterator[subprocess.Popen[str]]:
    """Another process that uses the run directory, once it says that it does."""
    command = [sys.executable, "-c", HOLD, str(settings.run_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until_held(holder: subprocess.Popen[str]) -> None:
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"


@pytest.fixture
def holder(settings: Settings) -> Iterator[subprocess.Popen[str]]:
    """Another process that uses the run directory."""
    with start_holder(settings) as process:
        wait_until_held(process)
        yield process


def test_it_starts_both_parts_and_stops_them(used: Settings) -> None:
    with embedded_stack(used, {"source", "warehouse"}) as complete:
        pids = recorded_processes(used.run_dir)
        with open_warehouse(complete) as warehouse:
            assert warehouse.rows("select 1 as one").rows == [(1,)]

    assert sorted(pids) == ["emulator", "postgres"]
    assert not any(psutil.pid_exists(pid) for pid in pids.values())
    assert (complete.source_host, complete.gcp_project) == ("127.0.0.1", "user-analytics-local")


def test_it_starts_only_what_is_needed(used: Settings) -> None:
    with embedded_stack(used, {"source"}) as complete:
        assert list(recorded_processes(used.run_dir)) == ["postgres"]
        assert complete.gcp_project is None


def test_what_is_configured_is_not_started(settings: Settings) -> None:
    own = settings.model_copy(update={"source_host": "db.example", "gcp_project": "mine"})

    with embedded_stack(own, {"source", "warehouse"}) as complete:
        assert complete == own
        assert not settings.run_dir.exists()


def test_tables_stay_from_one_command_to_the_next(settings: Settings) -> None:
    with embedded_stack(settings, {"warehouse"}) as complete, open_warehouse(complete) as warehouse:
        warehouse.ensure_dataset("kept")
        warehouse.run("create table kept.numbers as select 42 as answer")

    with embedded_stack(settings, {"warehouse"}) as complete, open_warehouse(complete) as warehouse:
        assert warehouse.rows("select answer from kept.numbers").rows == [(42,)]


def test_a_failure_inside_stops_what_was_started(used: Settings) -> None:
    pids: list[int] = []

    def fail() -> None:
        pids.extend(recorded_processes(used.run_dir).values())
        raise RuntimeError

    with pytest.raises(RuntimeError), embedded_stack(used, {"source"}):
        fail()

    assert len(pids) == 1
    assert not any(psutil.pid_exists(pid) for pid in pids)


@pytest.mark.parametrize(
    ("part", "program", "title"),
    [("source", "postgres", "Postgres"), ("warehouse", "emulator", "the BigQuery emulator")],
)
def test_a_part_that_dies_ends_what_is_under_way(used: Settings, part: Part, program: str, title: str) -> None:
    def wait_for_long() -> None:
        os.kill(recorded_processes(used.run_dir)[program], signal.SIGKILL)
        time.sleep(20)
        pytest.fail("it went on")

    log = used.run_dir / "logs" / f"{program}.log"
    with (
        pytest.raises(ServerDied, match=rf"^{title} ended with exit code 137 \(its log: {log}\)$"),
        embedded_stack(used, {part}),
    ):
        wait_for_long()

    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL


def test_a_part_that_dies_ends_also_what_catches_every_error(used: Settings) -> None:
    def go_on_after_errors() -> None:
        os.kill(recorded_processes(used.run_dir)["postgres"], signal.SIGKILL)
        with suppress(Exception):
            time.sleep(20)
        pytest.fail("it went on")

    with pytest.raises(ServerDied, match=r"^Postgres ended"), embedded_stack(used, {"source"}):
        go_on_after_errors()


def test_a_part_that_died_is_named_at_the_end_where_nothing_ended_for_it(used: Settings) -> None:
    def catch_all() -> None:
        os.kill(recorded_processes(used.run_dir)["postgres"], signal.SIGKILL)
        with suppress(BaseException):  # as Python does around __del__
            time.sleep(20)

    with pytest.raises(ServerDied, match=r"^Postgres ended"), embedded_stack(used, {"source"}):
        catch_all()


def test_a_failure_while_all_parts_live_does_not_wait_for_a_death(
    used: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "DEATH_WAIT_SECONDS", 60)
    failed = []

    def fail() -> None:
        failed.append(time.monotonic())
        raise StageFailed("movie_review failed")

    with (
        pytest.raises(StageFailed, match=r"^movie_review failed$"),
        embedded_stack(used, {"source", "warehouse"}),
    ):
        fail()

    assert time.monotonic() - failed[0] < 30  # stopping them takes most of it


def test_a_part_that_died_is_named_in_what_failed_for_it(used: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "DEATH_WAIT_SECONDS", 15)

    def fail() -> None:
        # Before the end of the process is known: clients see their connection close at once.
        supervisor = psutil.Process(recorded_processes(used.run_dir)["postgres"]).parent()
        assert supervisor is not None
        supervisor.suspend()
        postgres = psutil.Process(recorded_processes(used.run_dir)["postgres"])
        postgres.kill()
        while postgres.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        Timer(0.5, supervisor.resume).start()
        raise InputError("the source closed the connection")

    with (
        pytest.raises(ServerDied, match=r"^Postgres ended with exit code 137 \(its log: .*the source closed"),
        embedded_stack(used, {"source"}),
    ):
        fail()


def test_a_part_that_does_not_start_is_an_error_and_the_other_is_stopped(settings: Settings) -> None:
    (settings.run_dir / "warehouse").mkdir(parents=True)
    (settings.run_dir / "warehouse" / "data").touch()

    with pytest.raises(StackError, match="the BigQuery emulator did not start"):
        embedded_stack(settings, {"source", "warehouse"}).__enter__()

    assert recorded_processes(settings.run_dir) == {}


def test_a_second_command_is_refused_naming_the_first(settings: Settings, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(StackError, match=f"run is in use by process {holder.pid}: wait"), locked(settings.run_dir, 0.2):
        pass


def test_a_second_command_waits_for_one_that_is_about_to_end(settings: Settings, holder: subprocess.Popen[str]) -> None:
    started = time.monotonic()
    Timer(0.5, holder.kill).start()

    with locked(settings.run_dir, 30):
        assert time.monotonic() - started > 0.5


def test_a_reading_command_uses_the_warehouse_of_a_run_in_progress(settings: Settings) -> None:
    with embedded_stack(settings, {"warehouse"}) as first:
        script = (
            "import sys, pathlib; from user_analytics.embedded.stack import embedded_stack\n"
            "from user_analytics.settings import Settings\n"
            "settings = Settings(_env_file=None, run_dir=pathlib.Path(sys.argv[1]))\n"
            "with embedded_stack(settings, {'warehouse'}, read_only=True) as s: print(s.bigquery_endpoint)"
        )
        reader = subprocess.run(
            [sys.executable, "-c", script, settings.run_dir], capture_output=True, text=True, check=True
        )

        assert reader.stdout.splitlines()[-1] == first.bigquery_endpoint
        assert EmulatorServer(settings.run_dir).attach()


def test_a_reading_command_without_such_a_run_is_refused_naming_who_is_there(
    settings: Settings, holder: subprocess.Popen[str]
) -> None:
    (settings.run_dir / "warehouse" / "data").mkdir(parents=True)

    with (
        pytest.raises(StackError, match=f"in use by process {holder.pid}"),
        embedded_stack(settings, {"warehouse"}, read_only=True),
    ):
        pass


def test_a_reading_command_before_any_run_is_refused_and_makes_nothing(settings: Settings) -> None:
    with (
        pytest.raises(StackError, match=f"nothing has been run under {settings.run_dir}"),
        embedded_stack(settings, {"warehouse"}, read_only=True),
    ):
        pass

    assert not settings.run_dir.exists()


def test_emulator_ports_that_were_taken_meanwhile_are_picked_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        picks = iter([free_port(), taken.getsockname()[1], free_port(), free_port()])
        monkeypatch.setattr("user_analytics.embedded.warehouse.free_port", lambda: next(picks))

        with EmulatorServer(settings.run_dir) as emulator:
            complete = emulator.complete(settings)
            with open_warehouse(complete) as warehouse:
                assert warehouse.rows("select 1 as one").rows == [(1,)]


@pytest.fixture
def remove(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs it on the run directory of `settings`, in `folder`; gives its exit code."""

    def run(folder: Path | None = None, **variables: str) -> int:
        monkeypatch.chdir(folder or settings.run_dir.parent)
        for name, value in {"RUN_DIR": str(settings.run_dir), **variables}.items():
            monkeypatch.setenv(name, value)
        return removal.main()

    return run


def test_removing_it_leaves_nothing_inside_or_outside_the_run_directory(
    settings: Settings, remove: Callable[..., int]
) -> None:
    with embedded_stack(settings, {"source"}):
        outside = (settings.run_dir / "postgres" / "home").resolve()
    assert outside.exists()

    assert remove() == 0

    assert not settings.run_dir.exists()
    assert not outside.exists()


def test_it_is_not_removed_while_a_command_uses_it(
    settings: Settings, remove: Callable[..., int], holder: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert remove() == 1

    assert f"error: {settings.run_dir} is in use by process {holder.pid}" in capsys.readouterr().err
    assert settings.run_dir.exists()


def use(run_dir: Path) -> None:
    """What commands leave in a run directory."""
    with locked(run_dir):
        for name in ("logs", "processes", "warehouse", "spark", "lake"):
            (run_dir / name).mkdir()
            (run_dir / name / "file").touch()


def test_what_others_keep_in_the_run_directory_stays(settings: Settings, remove: Callable[..., int]) -> None:
    use(settings.run_dir)
    kept = settings.run_dir / "photos" / "one.jpg"
    kept.parent.mkdir()
    kept.write_text("mine")

    assert remove(LAKE_URL=str(settings.run_dir / "lake")) == 0

    assert kept.read_text() == "mine"
    assert list(settings.run_dir.iterdir()) == [kept.parent]


def test_a_lake_that_is_elsewhere_stays(settings: Settings, remove: Callable[..., int], tmp_path: Path) -> None:
    use(settings.run_dir)
    (tmp_path / "lake").mkdir()

    assert remove(LAKE_URL=str(tmp_path / "lake")) == 0

    assert (tmp_path / "lake").exists()
    assert (settings.run_dir / "lake").exists()


def test_a_directory_that_no_command_has_used_is_left_alone(settings: Settings, remove: Callable[..., int]) -> None:
    kept = settings.run_dir / "logs" / "mine.log"
    kept.parent.mkdir(parents=True)
    kept.touch()

    assert remove() == 0

    assert kept.exists()


def test_it_is_removed_whatever_else_is_wrong_with_the_settings(
    settings: Settings, remove: Callable[..., int], tmp_path: Path
) -> None:
    use(settings.run_dir)
    (tmp_path / ".env").write_text(f"NO_SUCH_SETTING=1\nLOOKBACK_DAYS=many\nRUN_DIR={settings.run_dir}\n???\n")

    assert remove(tmp_path, RUN_DIR="", LAKE_URL="run/lake", BIGQUERY_DATASETT="x") == 0

    assert not settings.run_dir.exists()


def test_who_waited_while_it_was_removed_holds_what_is_there_now(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(settings.run_dir)
    monkeypatch.setenv("RUN_DIR", str(settings.run_dir))
    with ExitStack() as running:
        waiting: list[subprocess.Popen[str]] = []

        def let_another_wait(run_dir: Path) -> None:
            waiting.append(running.enter_context(start_holder(settings)))
            deadline = time.monotonic() + 30
            while str(run_dir / "lock") not in [file.path for file in psutil.Process(waiting[0].pid).open_files()]:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            remove_data(run_dir)

        # It is called while the removal holds the lock.
        monkeypatch.setattr(removal, "remove_data", let_another_wait)
        assert removal.main() == 0

        wait_until_held(waiting[0])
        with pytest.raises(StackError, match=f"in use by process {waiting[0].pid}"), locked(settings.run_dir, 0):
            pass
