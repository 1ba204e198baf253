"""`python -m user_analytics.emulator`: run the BigQuery emulator until SIGTERM or Ctrl-C."""

import argparse
import os
import signal
import sys
from pathlib import Path

import structlog
from bqemulator.config import LogFormat, LogLevel
from bqemulator.observability.logging_ import configure_logging

from user_analytics.emulator.tls import DEFAULT_NAMES
from user_analytics.errors import UserAnalyticsError


def main() -> int:
    """Exit code 0 after a clean stop, 1 when the emulator could not start or broke, 2 on wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m user_analytics.emulator", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True, help="where the tables are kept")
    tls = parser.add_mutually_exclusive_group(required=True)
    tls.add_argument("--tls-dir", type=Path, help="where ca.pem and truststore.p12 are kept; made when missing")
    tls.add_argument(
        "--tls-files",
        type=Path,
        nargs=2,
        metavar=("CERTIFICATE", "KEY"),
        help="a certificate that was made elsewhere, and its private key, as PEM files",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--rest-port", type=int, default=9050, help="REST, plain HTTP (default: %(default)s)")
    parser.add_argument("--grpc-port", type=int, default=9060, help="Storage API, TLS (default: %(default)s)")
    parser.add_argument(
        "--tls-name",
        action="append",
        metavar="NAME",
        help=f"with --tls-dir: host name or IP address clients use; repeatable (default: {', '.join(DEFAULT_NAMES)})",
    )
    parser.add_argument("--log-level", choices=["debug", "info", "warning", "error"], default="warning")
    arguments = parser.parse_args()
    if arguments.tls_name and arguments.tls_files:
        parser.error("--tls-name goes with --tls-dir: a certificate made elsewhere has its names already")
    # until the server takes signals itself; PID 1 of a container would ignore it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    configure_logging(level=LogLevel(arguments.log_level), fmt=LogFormat.JSON)
    # only now: stock modules log while they are imported
    from user_analytics.emulator.launcher import Options, run  # noqa: PLC0415

    options = Options(
        data_dir=arguments.data_dir,
        host=arguments.host,
        rest_port=arguments.rest_port,
        grpc_port=arguments.grpc_port,
        log_level=arguments.log_level,
        tls_dir=arguments.tls_dir,
        tls_names=arguments.tls_name or DEFAULT_NAMES,
        tls_files=tuple(arguments.tls_files) if arguments.tls_files else None,
    )
    try:
        run(options)
    except UserAnalyticsError as error:
        structlog.get_logger().error("emulator_failed", reason=str(error))
        return error.exit_code
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # sys.exit would wait for the threads of streams that are left open, some of which wait for ever for a next request
    os._exit(code)
