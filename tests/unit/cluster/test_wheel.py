"""The identity of the wheel, by which images that take it are built anew."""

import tomllib

from user_analytics.cluster.wheel import CHECKOUT, SOURCES


def test_every_folder_that_goes_into_the_wheel_is_a_part_of_its_identity() -> None:
    with (CHECKOUT / "pyproject.toml").open("rb") as file:
        wheel = tomllib.load(file)["tool"]["hatch"]["build"]["targets"]["wheel"]

    assert {*wheel["packages"], *wheel["force-include"]} <= set(SOURCES)
