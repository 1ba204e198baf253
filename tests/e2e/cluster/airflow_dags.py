"""The DAGs on the cluster as their API tells of them."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from tests.e2e.cluster.kind_cluster import KindCluster
from user_analytics.cluster.airflow import AirflowApi
from user_analytics.cluster.secrets import JOBS

DAG, CLEAN_UP = "user_analytics_dag", "user_analytics_clean_up_dag"
ENDED = {"success", "failed"}
LOG_SECONDS = 120


class Dag:
    """A DAG, the pipeline's if no other is named, its runs and what they start."""

    def __init__(self, api: AirflowApi, cluster: KindCluster, dag_id: str = DAG) -> None:
        self._api, self._cluster, self._id = api, cluster, dag_id

    def runs(self) -> list[dict[str, Any]]:
        """All runs, the latest logical date last."""
        found: list[dict[str, Any]] = self._api.get(f"dags/{self._id}/dagRuns", order_by="logical_date")["dag_runs"]
        return found

    def run_of(self, ds: str) -> str:
        """The id of a date's run."""
        [run] = [run for run in self.runs() if run["logical_date"].startswith(ds)]
        return str(run["dag_run_id"])

    def unfinished_run_of(self, ds: str) -> str | None:
        """The id of a date's run if it is there and has not ended."""
        found = [run for run in self.runs() if run["logical_date"].startswith(ds) and run["state"] not in ENDED]
        return str(found[0]["dag_run_id"]) if found else None

    def begin(self, ds: str, **configuration: Any) -> str:
        """Have a new run of a date begin, in place of one that is there; its id."""
        for run in self.runs():
            if run["logical_date"].startswith(ds):
                self._api.delete(f"dags/{self._id}/dagRuns/{quote(run['dag_run_id'], safe='')}")
        step_back = {"force": True} if self._id == DAG else {}
        body = {"logical_date": f"{ds}T00:00:00Z", "conf": {**step_back, **configuration}}
        return str(self._api.post(f"dags/{self._id}/dagRuns", body)["dag_run_id"])

    def tasks(self, run: str) -> dict[str, dict[str, Any]]:
        """A run's tasks by id."""
        path = f"dags/{self._id}/dagRuns/{quote(run, safe='')}/taskInstances"
        return {task["task_id"]: task for task in self._api.get(path)["task_instances"]}

    def states(self, run: str) -> dict[str, str]:
        """The states of a run's tasks."""
        return {name: task["state"] for name, task in self.tasks(run).items()}

    def wait(self, run: str, seconds: float = 600) -> str:
        """Wait for the end of a run; its state."""

        def ended() -> str | None:
            state: str = self._api.get(f"dags/{self._id}/dagRuns/{quote(run, safe='')}")["state"]
            return state if state in ENDED else None

        state: str = self._cluster.wait(ended, f"{run} to end", seconds)
        return state

    def wait_for_task(self, run: str, task: str, states: set[str], seconds: float = 300) -> dict[str, Any]:
        """Wait until a task is in one of these states."""

        def there() -> dict[str, Any] | None:
            found = self.tasks(run).get(task, {})
            return found if found.get("state") in states else None

        found: dict[str, Any] = self._cluster.wait(there, f"{task} to be {' or '.join(sorted(states))}", seconds)
        return found

    def set_state(self, run: str, task: str, state: str) -> None:
        """Mark a task, as a person does in the web page."""
        self._api.patch(f"dags/{self._id}/dagRuns/{quote(run, safe='')}/taskInstances/{task}", {"new_state": state})

    def end(self, run: str) -> None:
        """Have a run fail as it is, with all that it has not done."""
        self._api.patch(f"dags/{self._id}/dagRuns/{quote(run, safe='')}", {"state": "failed"})

    def clear(self, run: str, tasks: list[str]) -> None:
        """Have tasks of a run run again."""
        body = {"dry_run": False, "dag_run_id": run, "task_ids": tasks, "only_failed": False}
        self._api.post(f"dags/{self._id}/clearTaskInstances", body)

    def log(self, run: str, task: str, tries: int | None = None) -> str:
        """The log of a task's try, counted from 1, or of its last."""
        tries = tries or self.tasks(run)[task]["try_number"]
        path = f"dags/{self._id}/dagRuns/{quote(run, safe='')}/taskInstances/{task}/logs/{tries}"
        content: list[Mapping[str, Any]] = self._api.get(path, full_content="true")["content"]
        return "\n".join(f"{line['event']} {line.get('error_detail') or ''}" for line in content)

    def wait_for_log(self, run: str, task: str, text: str, tries: int | None = None) -> str:
        """Wait for a text in the log of a task that has ended, which then still goes to the lake; the log."""

        def log() -> str | None:
            found = self.log(run, task, tries)
            return found if text in found else None

        log_text: str = self._cluster.wait(log, f"{text!r} in the log of {task}", LOG_SECONDS)
        return log_text

    def started_by(self, task: str) -> set[str]:
        """The pods that are there of a task, and its application."""
        pods = {pod.name for pod in self._cluster.pods(f"dag_id={self._id},task_id={task}") if pod.namespace == JOBS}
        applications = {
            name
            for name, application in self._cluster.applications().items()
            if application["metadata"]["labels"].get("task_id") == task
        }
        return pods | applications
