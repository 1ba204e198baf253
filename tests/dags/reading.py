"""Reads the DAGs, and renders a task of them as a worker would."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from airflow.dag_processing.dagbag import BundleDagBag
from airflow.sdk.definitions.param import process_params

DAGS = Path(__file__).parents[2] / "dags"
DS = "2010-12-08"
DATE = datetime(2010, 12, 8, tzinfo=UTC)


def read_dags(environment: Mapping[str, str] | None = None) -> BundleDagBag:
    """All DAGs, with these settings of the deployment."""
    with patch.dict(os.environ, environment or {}):
        return BundleDagBag(DAGS, bundle_path=DAGS, bundle_name="dags")


def context(dag: Any, task: Any, conf: Mapping[str, object] | None = None, date: datetime | None = DATE) -> Any:
    """What a template of a task sees in a run, as far as ours look at it."""
    instance = SimpleNamespace(
        dag_id=dag.dag_id, task_id=task.task_id, try_number=1, map_index=-1, log_url="http://airflow/log"
    )
    return {
        "dag": dag,
        "task": task,
        "ti": instance,
        "task_instance": instance,
        "run_id": f"manual__{DS}",
        "dag_run": SimpleNamespace(logical_date=date, conf=dict(conf or {})),
        "ds": DS,
        "ds_nodash": DS.replace("-", ""),
        "params": process_params(dag, task, dict(conf or {}), suppress_exception=False),
    }


def dag_of(bag: BundleDagBag, task_id: str) -> Any:
    """The DAG that has this task."""
    return next(dag for dag in bag.dags.values() if dag.has_task(task_id))


def rendered(bag: BundleDagBag, task_id: str, conf: Mapping[str, object] | None = None, **run: Any) -> Any:
    """A task with its templates rendered for a run of DS."""
    dag = dag_of(bag, task_id)
    task = dag.get_task(task_id).prepare_for_execution()
    task.render_template_fields(context(dag, task, conf, **run))
    return task
