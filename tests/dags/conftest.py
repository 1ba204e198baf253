"""The DAGs as Airflow reads them, in Airflow's own environment: `make test-dags`. No database, no cluster."""

import os
import sys
import tempfile
import warnings
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Airflow reads them when it is imported.
os.environ.update(
    AIRFLOW_HOME=tempfile.mkdtemp(prefix="airflow-home-"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__UNIT_TEST_MODE="False",
    AIRFLOW__LOGGING__LOGGING_LEVEL="WARNING",
)
sys.path.append(str(ROOT / "dags"))

import pytest  # noqa: E402
from airflow.dag_processing.dagbag import BundleDagBag  # noqa: E402

from tests.dags.reading import read_dags  # noqa: E402

pytest_plugins = ["tests.loaded"]


@pytest.fixture(scope="session")
def dags() -> BundleDagBag:
    """The DAGs of a deployment that sets nothing; a warning while they are read is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_dags()
