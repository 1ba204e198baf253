"""What the servers of the embedded stack have in common: each is a program that runs until it is stopped."""

import http.client
from abc import ABC, abstractmethod
from types import TracebackType
from typing import ClassVar, Self

from user_analytics.embedded.processes import RunningProgram


class Server(ABC):
    """A server that this process starts; a context manager."""

    title: ClassVar[str]
    """What messages call it."""

    def __init__(self) -> None:
        self._program: RunningProgram | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @abstractmethod
    def start(self) -> None:
        """Start it and wait until it answers; raises StackError with the end of its log when it does not."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether it takes requests now."""

    def stop(self) -> None:
        """Stop it if this object started it; its data stays."""
        if self._program is not None:
            self._program.stop()
            self._program = None

    def died(self) -> str | None:
        """How it ended by itself, and where its log is; None while it runs."""
        if self._program is None or (exit_code := self._program.exit_code()) is None:
            return None
        return f"{self.title} ended with exit code {exit_code} (its log: {self._program.log_file})"


def is_healthy(host: str, port: int, path: str) -> bool:
    """Whether an HTTP server says at its health path that it takes requests."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
