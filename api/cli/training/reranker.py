"""What `catalens train reranker` does and prints."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from api.cli.formats import one_line
from api.cli.output import err, out, print_json
from api.cli.training.data import LABELS, DataChoice, read_and_say, stopped

if TYPE_CHECKING:
    from retrieval.training.train_reranker import TrainedReranker


def train(
    chosen: DataChoice,
    base: str,
    folder: Path | None,
    asked: Mapping[str, Any],
    validation: float | None,
    cache: Path | None,
    *,
    runtime: str | None = None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Say what is trained on, train, write the folder, and say what it is worth."""
    from retrieval.rerankers.folder import require_writable

    if folder is not None:
        require_writable(folder)
    data = read_and_say(chosen, dry_run=dry_run, as_json=as_json)
    if dry_run or folder is None:
        return
    from api.cli.progress import show_progress
    from indexer.summary import Progress
    from retrieval.encoders import load_encoder
    from retrieval.settings import cache_dir
    from retrieval.training.train_reranker import SETTINGS, VALIDATION, train_reranker

    encoder = load_encoder(base, runtime=runtime, pictures=len(data.pictures))
    kept = cache or cache_dir() / "features"
    try:
        with show_progress(err, LABELS) as show:
            trained = train_reranker(
                data,
                encoder,
                replace(SETTINGS, **asked),
                validation=VALIDATION if validation is None else validation,
                cache=kept,
                out=folder,
                on_progress=lambda stage, done, total: show(Progress(stage, done, total)),
            )
        trained.write(folder)
    except KeyboardInterrupt:
        stopped("reranker was", "tokens", kept)
    if unreadable := len(trained.gathered.unreadable):
        err.print(f"{unreadable:,} pictures could not be read and were left out")
    if wordless := trained.spec.facts["texts_without_tokens"]:
        err.print(f"{wordless:,} texts have no tokens, as in a language that {base} does not know, and taught nothing")
    if as_json:
        spec = trained.spec
        print_json({"out": str(folder), "weights": spec.weights, "margins": spec.margins, **spec.facts})
    else:
        _print_figures(trained, base)
    err.print(f"Written to {folder}; look at {folder / 'curve.png'}", markup=False, soft_wrap=True)


def _print_figures(trained: "TrainedReranker", base: str) -> None:
    facts, weights = trained.spec.facts, trained.spec.weights
    pictures = facts["pictures"]
    line = f"{pictures['train']:,} pictures trained, {pictures['validation']:,} validated"
    out.print(Text(f"{line}; {facts['parameters']:,} parameters"), soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    table.add_column("validation success@1", overflow="fold")
    for heading in ("queries", "first stage", "reranked", "weight"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in facts["validation"]["checks"]:
        direction = one["direction"]
        table.add_row(
            Text(one_line(f"{one['data']} {one['group']}, {direction.replace('_', ' ')}")),
            f"{one['queries']:,}",
            f"{one['first_stage']['success@1']:.3f}",
            f"{one['reranked']['success@1']:.3f}",
            f"{weights[direction]:g}",
        )
    out.print(table)
    best, ran = trained.fitted.epoch, len(trained.fitted.history)
    if trained.improved:
        line = f"Epoch {best} of {ran} had the best success@1 on validation after reranking, and is kept."
        if not best:
            line = f"No epoch of {ran} beat {base} alone on validation; only that hubs are set back helps."
        out.print(Text(line), soft_wrap=True)
        for direction, weight in weights.items():
            if not weight:
                line = f"It did not help {direction.replace('_', ' ')}: its weight there is 0."
                out.print(Text(line, style="bold"), soft_wrap=True)
    else:
        line = f"Reranking did not help: {base} alone is as good on validation, so its weight is 0."
        out.print(Text(line, style="bold"), soft_wrap=True)
