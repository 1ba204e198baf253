"""The images of the project by name. `python -m user_analytics.cluster.catalogue [NAME…]` builds them."""

import sys
from collections.abc import Sequence

from user_analytics.cluster.images import (
    CHECKOUT,
    Image,
    build,
    go_program,
    requirements,
    spark_jars,
    tree,
    wheel,
)
from user_analytics.cluster.kind_node import node_image
from user_analytics.cluster.messages import say
from user_analytics.errors import UserAnalyticsError


def workload_images() -> dict[str, Image]:
    """What pods of the pipeline run: the images that are loaded into the cluster."""
    spark_base = Image("spark-base", (requirements("spark.txt"), spark_jars("jars.txt", "jars-s3a.txt")))
    images = (
        Image("minio", (go_program("minio"),)),
        Image("postgres", (requirements("postgres.txt"),)),
        Image("bigquery-emulator", (requirements("emulator.txt"), wheel())),
        Image("ingest", (requirements("runtime.txt"), wheel())),
        Image("airflow", (requirements("airflow.txt"), wheel(), tree(CHECKOUT / "dags", "dags"))),
        Image("spark", (wheel(), tree(CHECKOUT / "spark_apps", "spark_apps")), base=spark_base),
        Image("spark-operator", (go_program("spark-operator"),), base=spark_base),
    )
    return {image.name: image for image in images}


def every_image() -> dict[str, Image]:
    """All images, the kind node's first: the cluster starts with it."""
    return {"kind-node": node_image(), **workload_images()}


def main(arguments: Sequence[str]) -> int:
    """Build the named images, or all; exit code 1 with a message when one cannot be built, 2 for a wrong name."""
    try:
        images = every_image()
        unknown = [name for name in arguments if name not in images]
        if unknown:
            say(f"no image is called {unknown[0]}; there are {', '.join(images)}")
            return 2
        for name in arguments or images:
            built = build(images[name])
            print(f"{images[name].reference()}{'' if built else ' (unchanged)'}")  # noqa: T201
    except (UserAnalyticsError, OSError) as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
