"""Jobs whose ids mean something: an id runs once, shows while it runs, and survives with what it committed.

Stock: a job is recorded when it has ended, and a second insert of the same id runs its query again. So a client
that lost its connection cannot find out whether its job took place.
Here, as BigQuery does: an id that was used is refused with 409 `duplicate`, a running query is found as RUNNING, and
the record of a script's job is committed with the script's transaction: after a crash the job is DONE exactly if
its transaction took place, and unknown otherwise. Results are kept in memory only, as in stock: after a restart a
job's state can be read, its rows cannot. Load, copy and extract jobs are as in stock.
Still needed while `bqemulator.api.routes.jobs.insert_job` does not look its id up.
"""

from contextvars import ContextVar
from typing import Any

from bqemulator.api.dependencies import AppContext
from bqemulator.api.routes.jobs import _execute_query_or_failed_meta
from bqemulator.catalog.duckdb_repository import DuckDBCatalogRepository
from bqemulator.catalog.etag import generate_etag
from bqemulator.catalog.models import JobMeta
from bqemulator.domain.errors import DomainError
from bqemulator.storage.engine import DuckDBEngine

_current: ContextVar[JobMeta | None] = ContextVar("current", default=None)


class DuplicateJob(DomainError):
    """The id is taken. Not an AlreadyExistsError: the routes would record that as the end of the job that has it."""

    http_status = 409
    bq_reason = "duplicate"
    grpc_status_name = "ALREADY_EXISTS"


class Catalog(DuckDBCatalogRepository):
    """The stock catalog, which also knows the jobs that are running."""

    def __init__(self, engine: DuckDBEngine) -> None:
        super().__init__(engine)
        self._running: dict[tuple[str, str], JobMeta] = {}

    def get_job(self, project_id: str, job_id: str) -> JobMeta | None:
        """The job as recorded or running, or None."""
        return super().get_job(project_id, job_id) or self._running.get((project_id, job_id))

    def upsert_job(self, job: JobMeta) -> JobMeta:
        """Record a job that has ended."""
        recorded = super().upsert_job(job)
        self._running.pop((job.project_id, job.job_id), None)
        return recorded

    def start_job(self, job: JobMeta) -> None:
        """Take the job's id; raises DuplicateJob when it was used before."""
        if self.get_job(job.project_id, job.job_id) is not None:
            raise DuplicateJob(f"Already Exists: Job {job.project_id}:US.{job.job_id}")
        self._running[job.project_id, job.job_id] = job

    def forget_job(self, job: JobMeta) -> None:
        """Give back the id of a job that was refused before it ran."""
        del self._running[job.project_id, job.job_id]

    def write_commit(self) -> None:
        """Record the current job as DONE in the transaction that is about to be committed."""
        job = _current.get()
        if job is not None:
            self._write_job(job.model_copy(update={"state": "DONE"}))


async def run_once(*, project_id: str, job_id: str, config: dict[str, Any], ctx: AppContext, **query: Any) -> JobMeta:
    """Run an inserted query job whose id is new; raises DuplicateJob otherwise."""
    if not isinstance(ctx.catalog, Catalog):
        raise TypeError("job ids need this package's Catalog")
    now = ctx.clock.now()
    job = JobMeta(
        project_id=project_id,
        job_id=job_id,
        job_type="QUERY",
        state="RUNNING",
        configuration=config,
        creation_time=now,
        start_time=now,
        etag=generate_etag(project_id, job_id, str(now)),
    )
    ctx.catalog.start_job(job)
    token = _current.set(job)
    try:
        return await _execute_query_or_failed_meta(
            project_id=project_id, job_id=job_id, config=config, ctx=ctx, **query
        )
    except BaseException:
        ctx.catalog.forget_job(job)
        raise
    finally:
        _current.reset(token)
