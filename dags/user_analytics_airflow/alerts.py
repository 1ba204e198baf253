"""What a failed task tells: which check failed, of which date, and where the log is."""

import logging
from typing import Any

import httpx
from airflow.sdk import Context

from user_analytics_airflow.deployment import load_deployment

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10.0
PROCESS_LOST = (
    "its process ended without a word (killed, out of memory, its node gone) or never started; "
    "the task's Audit Log in Airflow says which"
)


def tell_failure(context: Context) -> None:
    """Log the failure of a task that is not tried again, and post it to USER_ANALYTICS_ALERT_ADDRESS if that is set.

    An alert that cannot be posted is logged: it makes no failure worse.
    """
    message = failure_message(context)
    log.error(message["text"])
    address = load_deployment().alert_address
    if address is None:
        return
    # it logs addresses
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        httpx.post(str(address.get_secret_value()), json=message, timeout=TIMEOUT_SECONDS).raise_for_status()
    except Exception as error:
        # of any kind: a proxy that the environment names may be wrong as well. Not the error's text: the address in it
        # may hold a key
        log.warning("the alert could not be posted: %s", type(error).__name__)


def failure_message(context: Context) -> dict[str, Any]:
    """The failure as JSON; `text` is what Slack and its like show."""
    task_instance = context["ti"]
    logical_date = context["dag_run"].logical_date
    ds = f"{logical_date:%Y-%m-%d}" if logical_date else "no date"
    reason = _reason(context.get("exception"))
    return {
        "text": f"{task_instance.dag_id}: {task_instance.task_id} of {ds} failed: {reason}\n"
        f"Log: {task_instance.log_url}",
        "dag": task_instance.dag_id,
        "task": task_instance.task_id,
        "run": context["run_id"],
        "ds": ds,
        "reason": reason,
        "log": task_instance.log_url,
    }


def _reason(exception: BaseException | str | None) -> str:
    # where a task's own process cannot tell, the DAG processor does, and knows of no exception
    if exception is None:
        return PROCESS_LOST
    return str(exception).strip() or type(exception).__name__
