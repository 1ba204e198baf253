"""What starts a Spark application's Python workers: pyspark's own daemon, without archives to import from.

Spark puts its pyspark.zip and one of its jars on the path of its workers, and before each task has every importer look
for new modules, for which Python 3.11 reads an archive's list of files again and again: 60 ms a task, as much as
thousands of reviews take. pyspark is installed where Python finds it without them.
"""

import sys
from pathlib import Path

sys.path[:] = [path for path in sys.path if not Path(path).is_file()]
sys.path_importer_cache.clear()

from pyspark.daemon import manager  # noqa: E402 - only now does it come from where it is installed

if __name__ == "__main__":
    manager()  # type: ignore[no-untyped-call]
