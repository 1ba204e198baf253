"""What the cluster's commands tell the person who runs them. Standard library only: some run before there is more."""

import sys


def say(text: str) -> None:
    """Write a line to standard error; standard output is for what a command is asked to print."""
    print(f"{text}\n", end="", file=sys.stderr, flush=True)  # noqa: T201 - at once: two threads may write
