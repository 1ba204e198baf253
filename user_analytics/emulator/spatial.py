"""DuckDB's spatial extension from its wheel instead of from the network.

Stock: the engine runs `INSTALL spatial`, which downloads the extension into the home directory at the first start
and stops the emulator where that cannot be done (no network, a read-only home).
Here: the file that PyPI's `duckdb-extension-spatial` carries is loaded from where it lies.
Still needed while `bqemulator.storage.engine` contains `INSTALL spatial`.
"""

from importlib import resources

import duckdb
from bqemulator.storage.engine import DuckDBEngine


def install() -> None:
    """Make every engine of this process load the packaged file."""
    DuckDBEngine._load_spatial = _load_packaged_spatial  # noqa: SLF001


def _load_packaged_spatial(engine: DuckDBEngine) -> None:
    packaged = resources.files("duckdb_extension_spatial").joinpath(
        "extensions", f"v{duckdb.__version__}", "spatial.duckdb_extension"
    )
    with resources.as_file(packaged) as path:
        quoted = str(path).replace("'", "''")
        engine.connection.execute(f"LOAD '{quoted}'")
