"""The BigQuery emulator as a local process, with its tables under `RUN_DIR/warehouse/`."""

import json
import os
import sys
import time
from pathlib import Path

from user_analytics.embedded.processes import RunningProgram, free_port, prepare, recorded_processes
from user_analytics.embedded.server import Server, is_healthy
from user_analytics.errors import StackError
from user_analytics.settings import Settings

NAME = "emulator"
PROJECT = "user-analytics-local"
# The certificate's name: Java matches host names, not addresses, by default.
GRPC_HOST, REST_HOST = "localhost", "127.0.0.1"
START_SECONDS = 90.0
PORT_ATTEMPTS = 5
PORT_TAKEN = "cannot listen on"


def tls_directory(run_dir: Path) -> Path:
    """Where the emulator's certificates and their truststore are."""
    return run_dir / "warehouse" / "tls"


class EmulatorServer(Server):
    """One emulator on two loopback ports."""

    title = "the BigQuery emulator"

    def __init__(self, run_dir: Path) -> None:
        super().__init__()
        self._run_dir = run_dir
        self._directory = run_dir / "warehouse"
        self._endpoint_file = self._directory / "ports.json"
        self._ports = (0, 0)

    def has_data(self) -> bool:
        """Whether it has run here before."""
        return (self._directory / "data").exists()

    def start(self) -> None:
        """Start it and wait until it answers; raises StackError with the end of its log when it does not."""
        try:
            self.launch()
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def launch(self) -> None:
        """Start it without waiting: it takes seconds in which other parts can start."""
        self._ports = free_port(), free_port()
        self._program = self._prepare()
        self._program.start()

    def wait_until_ready(self) -> None:
        """Wait until what `launch` started answers; starts it anew on other ports when its were taken."""
        deadline = time.monotonic() + START_SECONDS
        for _ in range(PORT_ATTEMPTS):
            if self._answers(deadline):
                return
            tail = self._program.log_tail() if self._program else ""
            if PORT_TAKEN not in tail:
                break
            self.stop()
            self.launch()
        raise StackError(f"the BigQuery emulator did not start:\n{tail}")

    def attach(self) -> bool:
        """Use the emulator that a run in progress has started; False when there is none that answers."""
        if NAME not in recorded_processes(self._run_dir):
            return False
        try:
            ports = json.loads(self._endpoint_file.read_text())
            self._ports = int(ports["rest"]), int(ports["grpc"])
        except (OSError, ValueError, TypeError, KeyError):
            return False
        return self.is_ready()

    def is_ready(self) -> bool:
        """Whether it says that it takes requests."""
        return is_healthy(REST_HOST, self._ports[0], "/readyz")

    def complete(self, settings: Settings) -> Settings:
        """`settings` with this emulator as the warehouse."""
        rest, grpc = self._ports
        return settings.model_copy(
            update={
                "gcp_project": PROJECT,
                "bigquery_endpoint": f"http://{REST_HOST}:{rest}",
                "bigquery_grpc_endpoint": f"{GRPC_HOST}:{grpc}",
            }
        )

    def _prepare(self) -> RunningProgram:
        rest, grpc = self._ports
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._endpoint_file.write_text(json.dumps({"rest": rest, "grpc": grpc}))
        except OSError as error:
            raise StackError(f"cannot write under {self._directory}: {error}") from error
        arguments = {
            "--data-dir": self._directory / "data",
            "--tls-dir": tls_directory(self._run_dir),
            "--host": REST_HOST,
            "--rest-port": rest,
            "--grpc-port": grpc,
        }
        command = [sys.executable, "-m", "user_analytics.emulator"]
        for option, value in arguments.items():
            command += [option, str(value)]
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        return prepare(self._run_dir, NAME, command, environment={**kept, "TZ": "UTC"})

    def _answers(self, deadline: float) -> bool:
        program = self._program
        assert program is not None  # noqa: S101
        while program.exit_code() is None:
            if time.monotonic() > deadline:
                raise StackError(
                    f"the BigQuery emulator did not answer within {START_SECONDS:g} s:\n{program.log_tail()}"
                )
            if self.is_ready():
                return True
            time.sleep(0.1)
        return False
