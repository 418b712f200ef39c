"""Shows how far an evaluation is: a live bar on a terminal, a line for each stage that is done elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from api.cli.progress import RateColumn
from retrieval.evaluation.embed import RERANK, OnProgress

LABELS = {"images": "Encoding images", "texts": "Encoding texts"}


@contextmanager
def show_evaluation(console: Console) -> Iterator[OnProgress]:
    """Gives the callback to hand to `evaluate`; what it shows goes to `console`, which should be stderr."""
    if not console.is_terminal:
        yield _plain(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def on_progress(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(_label(stage), total=total)
            bars.update(tasks[stage], completed=done)

        yield on_progress


def _plain(console: Console) -> OnProgress:
    def on_progress(stage: str, done: int, total: int) -> None:
        if done == total:
            console.print(f"{_label(stage)}: {total:,} done")

    return on_progress


def _label(stage: str) -> str:
    reranked = stage.removeprefix(RERANK)
    doing = "Ranking" if reranked == stage else "Reranking"
    return LABELS.get(stage, f"{doing} {reranked.replace('_', ' ')}")
