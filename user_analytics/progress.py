"""The stages of a run as they go: a live display on a terminal, plain lines anywhere else."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias

from rich.console import Console, RenderableType
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

Cut: TypeAlias = Literal["failed", "stopped"]
"""How a stage ends that does not reach its end: by its own fault, or for another's (or at a person's wish)."""


@dataclass
class Stage:
    """One stage: its name, what came out of it, how long it took and how much memory its process took at most."""

    name: str
    result: str = ""
    seconds: float = 0.0
    peak_memory_bytes: int | None = None
    started: float = 0.0


class StageProgress:
    """Shows stages on standard error and keeps them, in order of their start, in `stages`."""

    def __init__(self) -> None:
        self.stages: list[Stage] = []
        self._under_way: list[Stage] = []
        self._console = Console(stderr=True, soft_wrap=True, highlight=False)
        self._live = (
            Progress(_Mark(), TextColumn("{task.description:<18}"), _Elapsed(), TextColumn("{task.fields[result]}"),
                     console=self._console)
            if sys.stderr.isatty()
            else None
        )  # fmt: skip

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._live is not None:
            self._live.stop()

    def note(self, text: str) -> None:
        """Tell the person who runs it something that is no stage."""
        self._console.print(text, markup=False)

    def begin(self, name: str) -> Stage:
        """Show a stage that starts now; several may be under way at once."""
        stage = Stage(name, started=time.perf_counter())
        self.stages.append(stage)
        self._under_way.append(stage)
        if self._live is None:
            self.note(f"{name} …")
        else:
            self._live.add_task(name, total=1, result="", cut=None)
        return stage

    def end(self, stage: Stage, cut: Cut | None = None) -> None:
        """Show that it has ended, and how."""
        stage.seconds = time.perf_counter() - stage.started
        self._under_way.remove(stage)
        result = cut or stage.result
        if self._live is None:
            self.note(f"{stage.name}: {result or 'done'} ({stage.seconds:.1f} s)")
        else:
            for task in self._live.tasks:
                if task.description == stage.name:
                    self._live.update(task.id, completed=0 if cut else 1, result=result, cut=cut)
                    self._live.stop_task(task.id)

    def stop(self) -> None:
        """Show that all that are under way were stopped, one too that was interrupted while it was begun."""
        for stage in self._under_way.copy():
            self.end(stage, "stopped")

    @contextmanager
    def ending(self, stage: Stage) -> Iterator[None]:
        """End the stage with what happens inside; what is no Exception (Ctrl-C, the end of a server) stops it."""
        try:
            yield
        except BaseException as error:
            self.end(stage, "failed" if isinstance(error, Exception) else "stopped")
            raise
        self.end(stage)

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """A stage that is what happens inside, which may set its result."""
        stage = self.begin(name)
        with self.ending(stage):
            yield stage

    def times(self) -> dict[str, float]:
        """Seconds by stage so far."""
        return {stage.name: stage.seconds for stage in self.stages}


class _Mark(SpinnerColumn):
    """A spinner, then what became of the stage."""

    def render(self, task: Task) -> RenderableType:
        if task.finished:
            return Text("✓", "green")
        if task.fields["cut"] is not None:
            return Text("✗", "red") if task.fields["cut"] == "failed" else Text("■", "yellow")
        return super().render(task)


class _Elapsed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.elapsed or 0:6.1f} s", "cyan")
