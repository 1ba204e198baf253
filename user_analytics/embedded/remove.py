"""`python -m user_analytics.embedded.remove`: stop what runs here and delete the embedded stack's data."""

import shutil
import sys

from user_analytics.embedded.postgres import remove_data
from user_analytics.embedded.processes import stop_leftovers
from user_analytics.embedded.stack import locked
from user_analytics.errors import UserAnalyticsError
from user_analytics.settings import load_settings


def main() -> int:
    """Remove RUN_DIR and what belongs to it elsewhere; exit code 1 while a command uses it."""
    try:
        run_dir = load_settings().run_dir
        if run_dir.exists():
            with locked(run_dir):
                stop_leftovers(run_dir)
                remove_data(run_dir)
                shutil.rmtree(run_dir)
    except (UserAnalyticsError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code if isinstance(error, UserAnalyticsError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
