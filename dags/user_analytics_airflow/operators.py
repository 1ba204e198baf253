"""The two kinds of tasks: a stage in a pod, and a Spark application. Both run what `manifests/templates` says.

The provider's operators do the work. What is added here: a pod is exactly that of the stage's Job, parameters are
checked as `user-analytics render` checks them, a task that fails raises the reason that the stage gave, and no
application outlives its task.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import yaml
from airflow.providers.cncf.kubernetes.operators.custom_object_launcher import CustomObjectLauncher
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.operators.spark_kubernetes import SparkKubernetesOperator
from airflow.providers.cncf.kubernetes.utils.pod_manager import PodLaunchFailedException, PodLaunchTimeoutException
from airflow.sdk import BaseOperator, BaseOperatorLink, Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from kubernetes.client import ApiException, V1Pod

from user_analytics.errors import SettingsError, StageFailed
from user_analytics.log_event import Failure, read_event, read_failure
from user_analytics.render import MANIFESTS, check
from user_analytics_airflow.alerts import tell_failure
from user_analytics_airflow.deployment import Deployment
from user_analytics_airflow.run_parameters import fixed_parameters

SPARK_POOL = "spark"
"""As many slots as Spark applications run at the same time."""

SPARK = {"group": "sparkoperator.k8s.io", "version": "v1beta2", "plural": "sparkapplications"}
NOT_STARTED = (PodLaunchFailedException, PodLaunchTimeoutException)


class _ManifestOperator(BaseOperator):
    """A task that runs the manifest `manifest`, and raises what went wrong in the words of the stage itself."""

    manifest: str
    _failure: Failure | None = None

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """Render the manifest, after a check of what the run was given."""
        _check_run(context, self.manifest)
        super().render_template_fields(context, jinja_env)

    def execute(self, context: Context) -> Any:
        """Run it; raises StageFailed with the stage's own reason where it gave one.

        AirflowFailException, which is not tried again, takes its place where the stage calls its failure final, and for
        what the provider raises as that.
        """
        self.log_formatter = self._readable
        try:
            return super().execute(context)
        except AirflowSkipException:
            raise
        except Exception as error:
            # the provider's clean-up raises over what kept a pod from starting
            kept_from_starting = isinstance(error.__context__, NOT_STARTED)
            failure = self._failure or (Failure(str(error.__context__), final=False) if kept_from_starting else None)
            if failure is None:
                raise
            is_final = failure.final or isinstance(error, AirflowFailException)
            raise (AirflowFailException if is_final else StageFailed)(failure.reason) from error

    def _readable(self, container: str, line: str) -> str:
        """A line of the pod's log, as it came or from JSON; keeps the failure that a stage tells."""
        del container
        event = read_event(line)
        if event is None:
            return line
        self._failure = read_failure(event) or self._failure
        details = (f"{name}={value}" for name, value in event.items() if name not in {"event", "level", "timestamp"})
        return " ".join([str(event["event"]), *details])


class StageOperator(_ManifestOperator, KubernetesPodOperator):
    """A stage outside Spark, in the pod that its Job in `manifests/templates` describes."""

    template_fields = (*KubernetesPodOperator.template_fields, "job")
    template_fields_renderers = {**KubernetesPodOperator.template_fields_renderers, "job": "yaml"}  # noqa: RUF012
    template_ext = (".yaml",)

    def __init__(self, *, manifest: str, links: Sequence[BaseOperatorLink] = (), **options: Any) -> None:
        super().__init__(
            name=f"{manifest}-{{{{ ds_nodash }}}}",
            base_container_name=manifest,
            # the reason of what ends before its log is read
            termination_message_policy="FallbackToLogsOnError",
            **options,
        )
        self.manifest = manifest
        self.job = f"{manifest}.yaml"
        self.operator_extra_links = tuple(links)

    def build_pod_request_obj(self, context: Context | None = None, *, dry_run: bool = False) -> V1Pod:
        """The pod of the rendered Job, with Airflow's labels."""
        job = yaml.safe_load(self.job)["spec"]
        self.pod_template_dict = job["template"]
        self.active_deadline_seconds = job["activeDeadlineSeconds"]
        pod: V1Pod = super().build_pod_request_obj(context, dry_run=dry_run)
        return pod


class SparkApplicationOperator(_ManifestOperator, SparkKubernetesOperator):
    """A Spark application, run by the Spark Operator; its driver's log becomes the task's."""

    def __init__(self, *, manifest: str, **options: Any) -> None:
        super().__init__(name=manifest, application_file=f"{manifest}.yaml", random_name_suffix=True, **options)
        self.manifest = manifest
        self._labels: dict[str, str] = {}

    def manage_template_specs(self) -> dict[str, Any]:
        """The rendered application, with the task's labels, by which it is found again."""
        specification: dict[str, Any] = super().manage_template_specs()
        specification["spark"]["metadata"]["labels"].update(self._labels)
        return specification

    def get_or_create_spark_crd(self, launcher: CustomObjectLauncher, context: Context) -> V1Pod:
        """The driver's pod, once it runs; of one that has ended by then, the log is read as that of any other."""
        manager = launcher.pod_manager
        manager.fetch_container_logs = partial(manager.fetch_container_logs, log_formatter=self._readable)
        driver: V1Pod = super().get_or_create_spark_crd(launcher, context)
        return driver

    def execute(self, context: Context) -> Any:
        """Run the application, alone: what an earlier try left goes first, and nothing stays of one that failed.

        Raises what the stage tells of its failure, or StageFailed with the cluster's last warning where it tells none.
        """
        self._labels = self._get_ti_pod_labels(context, include_try_number=False)
        if self.find_spark_job(context) is None:
            self._delete_applications()
        try:
            return super().execute(context)
        except Exception as error:
            warning = self._log_events()
            # the provider's operator leaves what has no driver yet
            self._delete_applications()
            if warning is None or isinstance(error, StageFailed | AirflowFailException):
                raise
            raise StageFailed(f"{error}\n{warning}") from error

    def _delete_applications(self) -> None:
        selector = ",".join(f"{name}={value}" for name, value in self._labels.items())
        found = self.custom_obj_api.list_namespaced_custom_object(
            **SPARK, namespace=self.namespace, label_selector=selector
        )
        for application in found["items"]:
            self.log.info("Deleting the application %s", application["metadata"]["name"])
            self.launcher.delete_spark_job(application["metadata"]["name"])

    def _log_events(self) -> str | None:
        """Log what the cluster says of application and driver; returns the last warning, the driver's if it has one."""
        warning = None
        for name in (self.name, f"{self.name}-driver"):
            try:
                events = self.client.list_namespaced_event(self.namespace, field_selector=f"involvedObject.name={name}")
            except ApiException as error:
                self.log.warning("The events of %s cannot be read: %s", name, error.reason)
                continue
            for event in sorted(events.items, key=_last_seen):
                self.log.info("%s: %s: %s", name, event.reason, event.message)
                if event.type == "Warning":
                    warning = f"{name}: {event.reason}: {event.message}"
        return warning


def _last_seen(event: Any) -> datetime:
    # the scheduler writes events of the newer kind, the others those of the older one
    seen: datetime = event.last_timestamp or event.event_time or event.metadata.creation_timestamp
    return seen


def _check_run(context: Context, manifest: str) -> None:
    """Raise AirflowFailException, which is not tried again, for a run without a date or with wrong parameters."""
    run = context["dag_run"]
    if run.logical_date is None:
        raise AirflowFailException("the run has no logical date, whose data it could make: trigger it with one")
    unknown = sorted((run.conf or {}).keys() - context["dag"].params.keys())
    if unknown:
        raise AirflowFailException(f"no such parameter of a run: {', '.join(unknown)}")
    parameters = {name: value for name, value in context["params"].items() if name in MANIFESTS[manifest].model_fields}
    try:
        check(manifest, parameters)
    except SettingsError as error:
        raise AirflowFailException(str(error)) from error


def stage(manifest: str, deployment: Deployment, **options: Any) -> StageOperator:
    """The task of a stage outside Spark, called as its manifest."""
    return StageOperator(**_common(manifest, deployment), **options)


def spark_application(manifest: str, deployment: Deployment, **options: Any) -> SparkApplicationOperator:
    """The task of a Spark application, called as its manifest."""
    return SparkApplicationOperator(**_common(manifest, deployment), pool=SPARK_POOL, **options)


def _common(manifest: str, deployment: Deployment) -> dict[str, Any]:
    parameters = fixed_parameters(manifest, deployment)
    return {
        "task_id": manifest.replace("-", "_"),
        "manifest": manifest,
        "doc_md": MANIFESTS[manifest].__doc__,
        "namespace": parameters["namespace"],
        "params": parameters,
        "startup_timeout_seconds": deployment.startup_timeout_seconds,
        "startup_check_interval_seconds": 1,
        "log_events_on_failure": True,
        "log_pod_spec_on_failure": False,
        "execution_timeout": timedelta(seconds=deployment.execution_timeout_seconds),
        "retries": deployment.retries,
        "retry_delay": timedelta(seconds=deployment.retry_delay_seconds),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=30),
        "on_failure_callback": tell_failure,
    }
