"""`python -m user_analytics.embedded.remove`: stop what runs here and delete the embedded stack's data.

It takes RUN_DIR and LAKE_URL from the environment or `.env` and checks no other setting: a wrong one
must not keep anybody from cleaning up.
"""

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from dotenv import dotenv_values

from user_analytics.embedded.postgres import remove_data
from user_analytics.embedded.processes import stop_leftovers
from user_analytics.embedded.stack import locked
from user_analytics.errors import UserAnalyticsError
from user_analytics.settings import Settings

DIRECTORIES = ("logs", "processes", "warehouse", "spark")


def main() -> int:
    """Remove what the stack made in RUN_DIR and elsewhere; exit code 1 while a command uses it.

    RUN_DIR itself goes when nothing else is in it, the lake when it is in RUN_DIR.
    """
    try:
        _remove(Path(_setting("run_dir")), _setting("lake_url"))
    except (UserAnalyticsError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def _remove(run_dir: Path, lake_url: str) -> None:
    lock = run_dir / "lock"
    if not lock.exists():  # no command has used this directory: nothing in it is the stack's
        return
    with locked(run_dir):
        stop_leftovers(run_dir)
        remove_data(run_dir)
        made = [run_dir / name for name in DIRECTORIES]
        lake = Path(lake_url)
        if run_dir.resolve() in lake.resolve().parents:
            made.append(lake)
        for directory in made:
            if directory.exists():
                shutil.rmtree(directory)
        lock.unlink()
    with suppress(OSError):
        run_dir.rmdir()


def _setting(name: str) -> str:
    for source in (os.environ, dotenv_values(".env")):
        for variable, value in source.items():
            if variable.lower() == name and value:
                return value
    return str(Settings.model_fields[name].default)


if __name__ == "__main__":
    sys.exit(main())
