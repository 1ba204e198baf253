"""`make query` and the like: a command of `user-analytics` on this machine against the cluster's lake and warehouse."""

import os
import subprocess
import sys
from pathlib import Path

from kubernetes.client import CoreV1Api

from user_analytics.cluster.access import cluster_settings
from user_analytics.cluster.connection import connected
from user_analytics.cluster.messages import say
from user_analytics.errors import UserAnalyticsError
from user_analytics.spark.submit import local_environment


def main(arguments: list[str]) -> int:
    """Run `user-analytics` with these arguments; its exit code, or 1 when the cluster is out of reach."""
    try:
        with connected() as api, cluster_settings(CoreV1Api(api), {"lake", "warehouse"}) as settings:
            command = [str(Path(sys.executable).with_name("user-analytics")), *arguments]
            return subprocess.run(command, env=local_environment(settings, os.environ), check=False).returncode  # noqa: S603
    except UserAnalyticsError as error:
        say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
