"""Stages that are processes of their own, run side by side: the first that fails stops the others."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from user_analytics.embedded.processes import RunningProgram, prepare
from user_analytics.errors import StageFailed
from user_analytics.log_event import read_event, read_failure
from user_analytics.progress import Stage, StageProgress

POLL_SECONDS = 0.05


class Program(NamedTuple):
    """A stage that is a process; `result` says what came out of it, once it has ended well."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    result: Callable[[], str]


def run_side_by_side(run_dir: Path, progress: StageProgress, programs: Sequence[Program]) -> None:
    """Run the programs to their ends; raises StageFailed, with all of them stopped, as soon as one fails."""
    running: list[tuple[Program, Stage, RunningProgram]] = []
    try:
        for program in programs:
            stage = progress.begin(program.name)
            process = prepare(run_dir, program.name, program.command, environment=program.environment)
            running.append((program, stage, process))
            process.start()
        while running:
            time.sleep(POLL_SECONDS)
            for each in running.copy():
                program, stage, process = each
                if process.exit_code() is not None:
                    running.remove(each)
                    with progress.ending(stage):
                        _conclude(program, stage, process)
    finally:
        # Said first: to stop them may take seconds.
        progress.stop()
        for _, _, process in running:
            process.stop()


def _conclude(program: Program, stage: Stage, process: RunningProgram) -> None:
    exit_code = process.wait()
    stage.peak_memory_bytes = process.peak_memory_bytes()
    if exit_code != 0:
        raise StageFailed(f"{program.name} failed: {_reason(process, exit_code)} (its log: {process.log_file})")
    stage.result = program.result()


def _reason(process: RunningProgram, exit_code: int) -> str:
    """What a program said last of why it failed, else how it ended."""
    for line in reversed(process.log_tail(lines=200).splitlines()):
        if (event := read_event(line)) and (failure := read_failure(event)):
            return failure.reason
    last = process.log_tail(lines=1)
    return f"exit code {exit_code}{f', {last}' if last else ''}"
