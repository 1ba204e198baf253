"""`make cluster-down`: removes the cluster and all that it left on the machine. Images and caches stay."""

import sys

from user_analytics.cluster import go_programs, kind
from user_analytics.errors import UserAnalyticsError


def main() -> int:
    """Remove node, volumes, network and the kubeconfig's entries; exit code 1 with a message when it cannot."""
    try:
        go_programs.build("kind")
        kind.delete()
        kind.delete_network()
    except (UserAnalyticsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    print("The cluster is gone; images and caches stay.", file=sys.stderr)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
