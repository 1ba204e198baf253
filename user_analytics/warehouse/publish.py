"""Publish: what is staged for a date takes the place of what is published, in one transaction, at most once.

Each attempt reads the manifests and the publications anew, checks the preconditions, audits, and then
submits the script `sql/bigquery/publish.sql`, which only goes through while the publications are still
those that were checked. An attempt that another publish got in the way of is repeated with backoff.
"""

import hashlib
from datetime import date

import structlog
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from user_analytics import __version__
from user_analytics.errors import AuditFailed, ConcurrentUpdate, PublishRefused, TableMissing, UserAnalyticsError
from user_analytics.lake.store import Store
from user_analytics.mode import Mode
from user_analytics.settings import Settings
from user_analytics.sql import render_sql
from user_analytics.warehouse.audit import audit_staged
from user_analytics.warehouse.client import Warehouse
from user_analytics.warehouse.publications import Publication, Value, literal, publications
from user_analytics.warehouse.staging import Staged, StagedPair, read_staged
from user_analytics.warehouse.tables import PUBLICATIONS, PUBLISH_LOCK, ensure_tables

log = structlog.get_logger()

ATTEMPTS = 8


def refuse_wrong_order(warehouse: Warehouse, ds: date, mode: Mode, *, force: bool) -> None:
    """Raise PublishRefused for a run of a date that `publish` would refuse for what was published before.

    To be asked before a run replaces anything: the raw data kept of an older date is the way back to it.
    """
    _refuse_wrong_order(
        ds,
        mode,
        publications(warehouse),
        force=force,
        remedy=f"if the lake keeps data of {ds}, `user-analytics run --from-raw --date {ds} --force` publishes it "
        f"again (with make: DATE={ds} ARGS='--from-raw --force'); data that is new goes under a later --date, or with "
        f"--force under {ds}, in place of what is kept of it",
    )


def publish(
    warehouse: Warehouse, store: Store, ds: date, *, force: bool = False, allow_empty: bool = False
) -> Publication:
    """Publish what is staged for a date, and drop its staging tables; returns what is published.

    A pair of staging tables that was published before is left alone. `force` lets a full publish of an
    older date through, `allow_empty` one without rows. Raises ManifestMissing or CorruptObject for the
    manifests, PublishRefused when a precondition does not hold, AuditFailed with figures and keys when
    staging is not what the raw manifests say, ConcurrentUpdate when other publishes got in the way at every
    attempt, WarehouseError; the published tables are then as they were.
    """
    ensure_tables(warehouse)
    retrying = Retrying(
        retry=retry_if_exception_type(ConcurrentUpdate),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.5, max=30),
        before_sleep=_report_conflict,
        reraise=True,
    )
    try:
        publication = retrying(_attempt, warehouse, store, ds, force=force, allow_empty=allow_empty)
    except ConcurrentUpdate as error:
        raise ConcurrentUpdate(
            f"other publishes got in the way of that of {ds} {ATTEMPTS} times ({error}): run publish again when they "
            "are over"
        ) from error
    _remove_staging(warehouse, publication)
    return publication


def _attempt(warehouse: Warehouse, store: Store, ds: date, *, force: bool, allow_empty: bool) -> Publication:
    pair = read_staged(store, ds)
    publication_id = _publication_id(warehouse, pair)
    # In this order, what another process does meanwhile is seen: it commits before it drops staging tables.
    missing = [name for name in _staging_tables(pair) if not warehouse.table_exists(warehouse.staging_table_id(name))]
    job_id = _unused_job_id(warehouse, publication_id)
    history = publications(warehouse)

    published = next((earlier for earlier in history if earlier.publication_id == publication_id), None)
    if published is not None:
        return _published_before(published, history[0], force=force)
    if missing:
        raise PublishRefused(
            f"{' and '.join(missing)} of {ds} no longer exist(s) in {warehouse.settings.bigquery_staging_dataset}: run "
            f"the Spark applications of {ds} again, then publish; `user-analytics run --from-raw --date {ds}` does both"
        )
    for staged in pair:
        _refuse_stale(staged)
        _refuse_empty(staged, warehouse.settings, allow_empty=allow_empty)
    mode = pair.user_purchase.raw.manifest.mode
    remedy = (
        f"to go back to {ds}, publish with --force (cluster: `make publish DATE={ds} ARGS='--set force=true'`; "
        "Airflow: the run's parameter force)"
    )
    _refuse_wrong_order(ds, mode, history, force=force, remedy=remedy)
    try:
        audit = audit_staged(warehouse, pair)
        if not audit.passed:
            raise AuditFailed(str(audit))
        number = history[0].sequence + 1 if history else 1
        log.info("publishing", ds=str(ds), mode=mode, sequence=number, job_id=job_id)
        warehouse.run_script(_script(warehouse, pair, number, publication_id), job_id)
    except TableMissing as error:
        raise ConcurrentUpdate(str(error)) from error
    publication = next(done for done in publications(warehouse) if done.publication_id == publication_id)
    log.info(
        "published",
        ds=str(ds),
        sequence=publication.sequence,
        movie_review_rows=publication.movie_review_rows,
        user_purchase_rows=publication.user_purchase_rows,
    )
    return publication


def _publication_id(warehouse: Warehouse, pair: StagedPair) -> str:
    tables = " ".join(warehouse.staging_table_id(name) for name in _staging_tables(pair))
    return hashlib.sha256(tables.encode()).hexdigest()[:32]


def _staging_tables(pair: StagedPair) -> list[str]:
    return [staged.staging.manifest.staging_table for staged in pair]


def _unused_job_id(warehouse: Warehouse, publication_id: str) -> str:
    """The first job id of this publication that no job has, after waiting for those that run: they may commit."""
    attempt = 1
    while warehouse.wait_for_job(f"publish-{publication_id}-{attempt}"):
        attempt += 1
    return f"publish-{publication_id}-{attempt}"


def _published_before(published: Publication, latest: Publication, *, force: bool) -> Publication:
    ds, number = published.ds, published.sequence
    if published is latest:
        again = _way_to_publish_again(ds, force=False)  # not needed: nothing later is published
        log.info(
            "already_published",
            ds=str(ds),
            sequence=number,
            reason=f"the tables hold what is staged for {ds} already (number {number}): nothing was done; {again}",
        )
        return published
    again = _way_to_publish_again(ds, force=True)
    if force:
        raise PublishRefused(
            f"what is staged for {ds} was published before (number {number}) and its staging tables are gone: {again}"
        )
    log.warning(
        "published_and_replaced_since",
        ds=str(ds),
        by=str(latest.ds),
        reason=f"what is staged for {ds} was published before (number {number}) and replaced since: the tables hold "
        f"the data of {latest.ds} (number {latest.sequence}), and nothing was done; {again}",
    )
    return published


def _way_to_publish_again(ds: date, *, force: bool) -> str:
    option, parameter = (" --force", " ARGS='--set force=true'") if force else ("", "")
    return (
        f"to publish {ds} again, run its Spark applications again, then publish{option} (cluster: "
        f"`make apply APP=movie-review DATE={ds}`, the same with APP=user-purchase, then "
        f"`make publish DATE={ds}{parameter}`); "
        f"`user-analytics run --from-raw --date {ds}{option}` does both"
    )


def _refuse_stale(staged: Staged) -> None:
    manifest = staged.staging.manifest
    if manifest.raw_digest != staged.raw.digest:
        raise PublishRefused(
            f"the raw data of {manifest.table} for {manifest.ds} was replaced after {manifest.staging_table} was made "
            f"from it: run the Spark application of {manifest.table} for {manifest.ds} again, then publish; "
            f"`user-analytics run --from-raw --date {manifest.ds}` does both"
        )


def _refuse_empty(staged: Staged, settings: Settings, *, allow_empty: bool) -> None:
    raw = staged.raw.manifest
    if raw.rows == 0 and not allow_empty:
        raise PublishRefused(
            f"{raw.table} of {raw.ds} has no rows ({raw.source}): check the source, or publish with --allow-empty"
        )
    if raw.quarantined_rows > settings.max_quarantine_ratio * raw.source_rows:
        raise PublishRefused(
            f"{raw.quarantined_rows} of {raw.source_rows} rows of {raw.table} of {raw.ds} were quarantined, more than "
            f"MAX_QUARANTINE_RATIO {settings.max_quarantine_ratio} allows ({raw.source}): look at them with "
            f"`user-analytics quarantine show --date {raw.ds}`, mend the source, or raise the setting"
        )


def _refuse_wrong_order(ds: date, mode: Mode, history: list[Publication], *, force: bool, remedy: str) -> None:
    """An increment needs something full to go on; a full publish must not take the tables back in time."""
    last_full = next((index for index, earlier in enumerate(history) if earlier.mode == "full"), None)
    if mode == "incremental":
        if last_full is None:
            raise PublishRefused(
                f"the run of {ds} is in mode incremental, but nothing full was ever published: run {ds} in mode full"
            )
        return
    if last_full is None or force:
        return
    newest = max(earlier.ds for earlier in history[: last_full + 1])
    if ds < newest:
        raise PublishRefused(f"the tables hold the data of {newest}, and {ds} is older: {remedy}")


def _script(warehouse: Warehouse, pair: StagedPair, sequence: int, publication_id: str) -> str:
    raw = pair.user_purchase.raw.manifest
    start, end = raw.window or (None, None)
    row: dict[str, Value] = {
        "sequence": sequence,
        "publication_id": publication_id,
        "ds": raw.ds,
        "mode": raw.mode,
        "window_start": start,
        "window_end": end,
        "version": __version__,
        "model_version": pair.movie_review.staging.manifest.model_version,
    }
    for staged in pair:
        row |= _provenance(staged)
    return render_sql(
        "bigquery/publish.sql",
        publication={column: literal(value) for column, value in row.items()},
        publications=warehouse.table_id(PUBLICATIONS),
        publish_lock=warehouse.table_id(PUBLISH_LOCK),
        window=raw.window is not None,
        **{
            staged.raw.manifest.table: {
                "published": warehouse.table_id(staged.raw.manifest.table),
                "staged": warehouse.staging_table_id(staged.staging.manifest.staging_table),
            }
            for staged in pair
        },
    )


def _provenance(staged: Staged) -> dict[str, Value]:
    """The columns of `publications` that say where one table's rows come from."""
    raw = staged.raw.manifest
    return {
        f"{raw.table}_source_rows": raw.source_rows,
        f"{raw.table}_rows": raw.rows,
        f"{raw.table}_quarantined_rows": raw.quarantined_rows,
        f"{raw.table}_raw_digest": staged.raw.digest,
        f"{raw.table}_staging_digest": staged.staging.digest,
        f"{raw.table}_staging_table": staged.staging.manifest.staging_table,
    }


def _remove_staging(warehouse: Warehouse, publication: Publication) -> None:
    """Drop what was published; a failure does not undo the publish, and clean-up takes what stays by its age."""
    for name in (publication.movie_review_staging_table, publication.user_purchase_staging_table):
        try:
            warehouse.delete_table(warehouse.staging_table_id(name))
        except UserAnalyticsError as error:
            log.warning("staging_left", table=name, error=str(error))


def _report_conflict(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("publish_conflict", attempt=state.attempt_number, error=str(error))
