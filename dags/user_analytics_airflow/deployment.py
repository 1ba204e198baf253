"""How this deployment differs from another: read from the environment, which `charts/airflow` sets from its values."""

from collections.abc import Mapping
from typing import Any, Self

import pydantic_settings
from pydantic import Field, HttpUrl, Secret, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from user_analytics.errors import SettingsError
from user_analytics.render import MANIFESTS, JobParameters, Parameters, SparkParameters, check

PREFIX = "USER_ANALYTICS_"
# Several manifests at once; only the parameters that all of them know.
GROUPS: Mapping[str, type[Parameters]] = {"all": Parameters, "spark": SparkParameters, "jobs": JobParameters}


class Deployment(BaseSettings):
    """The DAGs' settings: variables `USER_ANALYTICS_…`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True)

    parameters: dict[str, dict[str, Any]] = Field(
        {}, description="parameters of manifests, by manifest or by group: all, spark, jobs"
    )
    schedule: str = Field("0 0 * * *", description="when the pipeline runs, for the day before; cron, UTC")
    clean_up_schedule: str = Field("30 3 * * *", description="when the clean-up runs; cron, UTC")
    paused_upon_creation: bool = Field(True, description="new DAGs wait until somebody switches them on")
    retries: int = Field(2, ge=0, description="tries of a task after the first, but for a verdict")
    retry_delay_seconds: float = Field(30, gt=0, description="before the second try; twice as long before each other")
    startup_timeout_seconds: int = Field(300, ge=1, description="until a pod or application has to be running")
    execution_timeout_seconds: int = Field(3600, ge=1, description="until a task has to be done")
    report_address: str | None = Field(None, description="a date's report in a browser, with {ds} for the date")
    alert_address: Secret[HttpUrl] | None = Field(None, description="what a failed task posts to; it may hold a key")

    @model_validator(mode="after")
    def _parameters_exist(self) -> Self:
        for name, parameters in self.parameters.items():
            model = {**MANIFESTS, **GROUPS}.get(name)
            if model is None:
                raise ValueError(f"{name!r} is none of {', '.join([*GROUPS, *MANIFESTS])}")
            unknown = sorted(parameters.keys() - model.model_fields)
            if unknown:
                raise ValueError(f"{name} has no parameter {', '.join(unknown)}")
        for manifest in MANIFESTS:
            self.parameters_of(manifest)
        return self

    def parameters_of(self, manifest: str) -> dict[str, Any]:
        """All parameters of a manifest, as its template takes them; raises SettingsError naming one at fault."""
        kind = "spark" if issubclass(MANIFESTS[manifest], SparkParameters) else "jobs"
        given = {
            name: value for group in ("all", kind, manifest) for name, value in self.parameters.get(group, {}).items()
        }
        return check(manifest, given).model_dump(mode="json")


def load_deployment() -> Deployment:
    """The settings of the environment; raises SettingsError naming each variable at fault."""
    try:
        return Deployment()  # type: ignore[call-arg]  # from the environment
    except pydantic_settings.SettingsError as error:  # no JSON where there should be
        raise SettingsError(str(error)) from error
    except ValidationError as error:
        problems = [
            f"{PREFIX}{(detail['loc'] or ('parameters',))[0]}".upper()
            + f": {detail['msg'].removeprefix('Value error, ')}"
            for detail in error.errors(include_url=False, include_input=False)
        ]
        raise SettingsError("wrong settings of the DAGs:\n  " + "\n  ".join(problems)) from error
