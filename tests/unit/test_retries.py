import pytest

from user_analytics.errors import Unreachable
from user_analytics.retries import until_reachable


def is_connection_error(error: BaseException) -> bool:
    return isinstance(error, ConnectionError)


def test_a_server_that_comes_up_in_time_is_used() -> None:
    answers = iter([ConnectionRefusedError(), ConnectionResetError(), "ready"])

    def call() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    assert until_reachable("Postgres", "db:5432", 10, call, is_connection_error) == "ready"


def test_a_server_that_never_comes_up_is_an_error_naming_it_and_the_time() -> None:
    def call() -> None:
        raise ConnectionRefusedError

    with pytest.raises(Unreachable, match=r"Postgres at db:5432 did not answer within 0\.3 s"):
        until_reachable("Postgres", "db:5432", 0.3, call, is_connection_error)


def test_an_error_that_waiting_cannot_mend_is_raised_at_once() -> None:
    calls = []

    def call() -> None:
        calls.append(1)
        raise PermissionError("wrong password")

    with pytest.raises(PermissionError):
        until_reachable("Postgres", "db:5432", 10, call, is_connection_error)
    assert len(calls) == 1
