"""Shows how far a long run is: a live bar on a terminal, a line now and then elsewhere."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

if TYPE_CHECKING:
    from indexer.pipeline import OnProgress
    from indexer.summary import Progress

LABELS = {"photos": "Indexing photos", "index": "Building the index"}
SECONDS_BETWEEN_LINES = 5.0
SLOWEST_SHOWN = 0.5  # a second: below it, 0/s would stand there


class RateColumn(ProgressColumn):
    """Photos per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed and speed >= SLOWEST_SHOWN else "")


@contextmanager
def show_progress(console: Console, labels: Mapping[str, str] = LABELS) -> Iterator["OnProgress"]:
    """Gives the callback to hand to `index_sources`; what it shows goes to `console`, which should be stderr.

    labels: what to call each stage.
    """
    if not console.is_terminal:
        yield _plain(console, labels)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def on_progress(progress: "Progress") -> None:
            if progress.stage not in tasks:
                tasks[progress.stage] = bars.add_task(labels[progress.stage])
            total = max(progress.total, progress.done)  # the total is an estimate
            bars.update(tasks[progress.stage], completed=progress.done, total=total)

        yield on_progress


def _plain(console: Console, labels: Mapping[str, str]) -> "OnProgress":
    started = last = monotonic()
    stage = ""

    def on_progress(progress: "Progress") -> None:
        nonlocal last, stage, started
        now = monotonic()
        if progress.stage != stage:
            stage, started = progress.stage, now
        if now - last < SECONDS_BETWEEN_LINES:
            return
        last = now
        total = max(progress.total, progress.done)  # the total is an estimate
        line = f"{labels[progress.stage]}: {progress.done:,} of {total:,}"
        if progress.done and now - started >= 1:  # before that the rate means nothing
            rate = progress.done / (now - started)
            line += f", {rate:,.0f}/s" if rate >= SLOWEST_SHOWN else ""
            line += f", {(total - progress.done) / rate:,.0f} s left"
        console.print(line)

    return on_progress
