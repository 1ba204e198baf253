"""`make cluster-down`: removes the cluster and all that it left on the machine. Images and caches stay."""

import sys

from user_analytics.cluster import go_programs, kind
from user_analytics.cluster.base_image import own_base_image
from user_analytics.cluster.engine import remove_abandoned_builds
from user_analytics.cluster.messages import say
from user_analytics.cluster.sole_command import sole_command
from user_analytics.cluster.workspace import remove_abandoned
from user_analytics.errors import UserAnalyticsError


def main() -> int:
    """Remove node, volumes, network, entries in the kubeconfig, and containers, mounts and folders of killed builds.

    Exit code 1 with a message when something cannot be removed.
    """
    try:
        with sole_command("cluster-down"):
            go_programs.build("kind")
            kind.delete()
            kind.delete_network()
            if remove_abandoned_builds(own_base_image()) is None:
                say("Images are being built: what killed builds left stays until `make cluster-down` runs without.")
            remove_abandoned()
    except (UserAnalyticsError, OSError) as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("Interrupted: `make cluster-down` goes on from here")
        return 130
    say("The cluster is gone, and its data; images and caches stay.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
