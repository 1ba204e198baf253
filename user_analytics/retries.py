"""Waiting for servers: retry connection errors with backoff, give up after a stated time."""

from collections.abc import Callable
from typing import TypeVar

import structlog
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from user_analytics.errors import Unreachable

log = structlog.get_logger()
Result = TypeVar("Result")


def until_reachable(
    what: str,
    address: str,
    timeout_seconds: float,
    call: Callable[[], Result],
    is_transient: Callable[[BaseException], bool],
) -> Result:
    """Call until it answers, retrying what `is_transient` accepts with jittered exponential backoff.

    Raises Unreachable naming `what`, `address` and the time waited; other errors pass through.
    `address` is host and port only, so that no secret can reach a message.
    """

    def report(state: RetryCallState) -> None:
        log.warning("waiting", server=what, address=address, attempt=state.attempt_number)

    def give_up(state: RetryCallState) -> Result:
        cause = state.outcome.exception() if state.outcome else None
        raise Unreachable(
            f"{what} at {address} did not answer within {timeout_seconds:g} s: is it running and reachable? "
            "(CONNECT_TIMEOUT_SECONDS sets how long to wait)"
        ) from cause

    retrying = Retrying(
        retry=retry_if_exception(is_transient),
        stop=stop_after_delay(timeout_seconds),
        wait=wait_random_exponential(multiplier=0.1, max=5),
        before_sleep=report,
        retry_error_callback=give_up,
    )
    return retrying(call)
