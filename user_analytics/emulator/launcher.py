"""Start the pinned bqemulator with this package's corrections, and stop it cleanly."""

import asyncio
import signal
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import bqemulator
import bqemulator.server
import duckdb
import structlog
from bqemulator.api.routes import jobs as job_routes
from bqemulator.config import LogLevel, PersistenceMode, Settings
from bqemulator.grpc_api import server as grpc_factory
from bqemulator.grpc_api import write_servicer
from bqemulator.jobs import error_mapper, executor
from bqemulator.scripting import interpreter
from sqlglot.dialects.dialect import Dialect

from user_analytics.emulator.engine import Engine
from user_analytics.emulator.grpc_server import TlsServers
from user_analytics.emulator.jobs import Catalog, run_once
from user_analytics.emulator.parsing import parse
from user_analytics.emulator.time_travel import NoTimeTravel
from user_analytics.emulator.tls import DEFAULT_NAMES, ensure_tls
from user_analytics.emulator.transactions import Interpreter, translate_conflict
from user_analytics.emulator.write_streams import WriteHandler
from user_analytics.errors import WarehouseError

SUPPORTED_VERSION = "1.4.0"
STOP_SECONDS = 3  # for requests under way; then they are cancelled

log = structlog.get_logger()


@dataclass(frozen=True)
class Options:
    """What the command line says.

    `tls_dir` is where certificates of our own are kept, for `tls_names`; `tls_files` a certificate and its key
    that were made elsewhere. One of the two is None.
    """

    data_dir: Path
    host: str
    rest_port: int
    grpc_port: int
    log_level: str
    tls_dir: Path | None = None
    tls_names: Sequence[str] = DEFAULT_NAMES
    tls_files: tuple[Path, Path] | None = None


def run(options: Options) -> None:
    """Serve until SIGTERM or SIGINT; raises WarehouseError saying why the emulator could not start."""
    _refuse_other_versions()
    for port in (options.rest_port, options.grpc_port):
        _refuse_taken(options.host, port)
    _install_corrections(*_certificate_and_key(options))
    asyncio.run(_serve(_settings(options)))


def _refuse_other_versions() -> None:
    if bqemulator.__version__ != SUPPORTED_VERSION:
        raise WarehouseError(
            f"the corrections in user_analytics/emulator are for bqemulator {SUPPORTED_VERSION}, "
            f"installed is {bqemulator.__version__}: install the pinned one, or check each correction against it"
        )


def _certificate_and_key(options: Options) -> tuple[Path, Path]:
    if options.tls_files is not None:
        certificate, key = options.tls_files
        _refuse_unusable(certificate, key)
        return certificate, key
    assert options.tls_dir is not None  # noqa: S101
    try:
        files = ensure_tls(options.tls_dir, options.tls_names)
    except OSError as error:
        raise WarehouseError(f"the emulator cannot keep its certificates in {options.tls_dir}: {error}") from error
    return files.certificate, files.key


def _refuse_unusable(certificate: Path, key: Path) -> None:
    """Refuse files that do not belong together, which gRPC would take, and then refuse every client."""

    def passphrase() -> str:  # without it OpenSSL asks on the terminal
        raise WarehouseError(
            f"the emulator cannot use {key}: the key is encrypted, and nobody is asked for its passphrase; write it "
            f"without one: openssl pkey -in {key} -out FILE"
        )

    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key, passphrase)
    except OSError as error:
        raise WarehouseError(f"the emulator cannot use certificate {certificate} with key {key}: {error}") from error


def _install_corrections(certificate: Path, key: Path) -> None:
    """Put this package's classes and functions where the stock modules look theirs up."""
    servers = TlsServers(certificate=certificate.read_bytes(), key=key.read_bytes())
    corrections: list[tuple[ModuleType | type, str, object]] = [
        (bqemulator.server, "DuckDBEngine", Engine),
        (bqemulator.server, "DuckDBCatalogRepository", Catalog),
        (bqemulator.server, "SnapshotManager", NoTimeTravel),
        (grpc_factory, "grpc", servers),
        (write_servicer, "BigQueryWriteHandler", WriteHandler),
        (job_routes, "_execute_query_or_failed_meta", run_once),
        (executor, "ScriptInterpreter", Interpreter),
        (interpreter, "ScriptInterpreter", Interpreter),
        (Dialect, "parse", parse),
        (error_mapper, "_DUCKDB_TRANSLATORS", (translate_conflict, *error_mapper._DUCKDB_TRANSLATORS)),
    ]
    for place, name, replacement in corrections:
        if not hasattr(place, name):
            raise WarehouseError(f"{place.__name__} has no {name} to correct: is this bqemulator {SUPPORTED_VERSION}?")
        setattr(place, name, replacement)


def _refuse_taken(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise WarehouseError(f"the emulator cannot listen on {host}:{port}: {error.strerror}") from error


def _settings(options: Options) -> Settings:
    return Settings(
        rest_host=options.host,
        rest_port=options.rest_port,
        grpc_host=options.host,
        grpc_port=options.grpc_port,
        persistence_mode=PersistenceMode.PERSISTENT,
        data_dir=options.data_dir,
        upload_staging_dir=options.data_dir / "uploads",  # stock writes below /tmp
        enable_format_extensions=False,  # Avro: would be downloaded, and nothing here reads it
        log_level=LogLevel(options.log_level),
    )


async def _serve(settings: Settings) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    server = bqemulator.server.EmulatorServer(settings)
    try:
        await server.start()
    except (duckdb.IOException, OSError) as error:
        raise WarehouseError(f"the emulator cannot open its data in {settings.data_dir}: {error}") from error
    if server._fastapi_server:
        server._fastapi_server.config.timeout_graceful_shutdown = STOP_SECONDS  # stock waits for ever
    try:
        log.warning("emulator_ready", rest=server.rest_url, grpc=server.grpc_endpoint, data=str(settings.data_dir))
        await stopped.wait()
    finally:
        await server.stop()
