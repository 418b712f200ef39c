"""What `catalens train heads` does and prints."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from api.cli.formats import one_line
from api.cli.output import err, out, print_json
from api.cli.training.data import LABELS, DataChoice, read_and_say, stopped

if TYPE_CHECKING:
    from retrieval.training.train_heads import Trained

FEW_JUDGED = 400  # validation pictures below which 5 points of success@1 may be chance
SHOWN_UNREADABLE = 10


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
    from retrieval.encoders.trained import require_writable

    if folder is not None:
        require_writable(folder)
    data = read_and_say(chosen, dry_run=dry_run, as_json=as_json)
    if dry_run or folder is None:
        return
    from api.cli.progress import show_progress
    from indexer.summary import Progress
    from retrieval.encoders import load_encoder
    from retrieval.settings import cache_dir
    from retrieval.training.train_heads import SETTINGS, VALIDATION, train_heads

    encoder = load_encoder(base, runtime=runtime, pictures=len(data.pictures))
    kept = cache or cache_dir() / "features"
    began: dict[str, float] = {}
    try:
        with show_progress(err, LABELS) as show:

            def on_progress(stage: str, done: int, total: int) -> None:
                began.setdefault(stage, monotonic())
                show(Progress(stage, done, total))

            started = monotonic()
            trained = train_heads(
                data,
                encoder,
                replace(SETTINGS, **asked),
                validation=VALIDATION if validation is None else validation,
                cache=kept,
                out=folder,
                on_progress=on_progress,
            )
            ended = monotonic()
        trained.write(folder)
    except KeyboardInterrupt:
        stopped("heads were", "features", kept)
    features = began.get("epochs", ended) - started
    _report(trained, folder, {"features": features, "training": ended - started - features}, as_json=as_json)


def _report(trained: "Trained", folder: Path, seconds: Mapping[str, float], *, as_json: bool) -> None:
    found, facts = trained.gathered, trained.facts()
    if found.unreadable:
        err.print(f"{len(found.unreadable):,} pictures could not be read and were left out:")
        for name, reason in found.unreadable[:SHOWN_UNREADABLE]:
            err.print(one_line(f"  {name}: {reason}"), markup=False, soft_wrap=True)
        if len(found.unreadable) > SHOWN_UNREADABLE:
            err.print(f"  and {len(found.unreadable) - SHOWN_UNREADABLE:,} more")
    if as_json:
        print_json({"out": str(folder), **facts, "seconds": {name: round(s, 2) for name, s in seconds.items()}})
    else:
        _print_figures(trained, facts)
    what = f"{found.encoded[0]:,} pictures and {found.encoded[1]:,} texts encoded, all others were kept"
    err.print(f"{what}; {seconds['features']:.1f} s for features, {seconds['training']:.1f} s of training")
    err.print(f"Written to {folder}; look at {folder / 'curve.png'}", markup=False, soft_wrap=True)
    if not trained.improved:
        return
    err.print("Is it better on data that neither model has seen? Judge it, then index with it:")
    err.print(f"  catalens eval UNSEEN --model {folder}", markup=False, soft_wrap=True)
    err.print(f"  catalens index SOURCE --model {folder} --collection NEW", markup=False, soft_wrap=True)


def _print_figures(trained: "Trained", facts: Mapping[str, Any]) -> None:
    pictures, base = facts["pictures"], trained.started_from["model"]
    found = len(trained.gathered.pictures)
    equal = f", {pictures['equal']:,} had the bytes of another" if pictures["equal"] else ""
    line = f"{pictures['train']:,} pictures trained, {pictures['validation']:,} validated{equal}"
    out.print(Text(line), soft_wrap=True)
    if seen := pictures["seen_by_base"]:
        line = f"{base} was itself trained on {seen:,} of them; "
        line += "validation takes others" if seen < found else "its figures on them say more than they should"
        out.print(Text(line), soft_wrap=True)
    out.print()
    table = Table(box=None, pad_edge=False)
    table.add_column("validation", overflow="fold")
    for heading in ("success@1\nbase", "success@1\ntrained", "success@10\nbase", "success@10\ntrained"):
        table.add_column(heading, justify="right", no_wrap=True)
    several = len(facts["data"]) > 1
    for check in facts["validation"]["checks"]:
        for direction in ("text_to_image", "image_to_text"):
            name = f"{check['group']}, {direction.replace('_', ' ')}"
            table.add_row(
                Text(one_line(f"{check['data']} {name}" if several else name)),
                *_cells(check["before"][direction], check["after"][direction]),
            )
    mean = facts["validation"]["mean"]
    table.add_row(Text("mean", style="bold"), *_cells(mean["before"], mean["after"]))
    out.print(table)
    out.print()
    best, ran = trained.fitted.epoch, len(trained.fitted.history)
    if trained.improved:
        line = f"Epoch {best} of {ran} had the best success@1 on validation, the mean of both directions, and is kept."
        out.print(Text(line), soft_wrap=True)
        if (judged := pictures["validation"]) < FEW_JUDGED:
            # 1.96 standard errors of a share of one half (normal approximation)
            chance = 98 / judged**0.5
            line = f"With only {judged:,} validation pictures, differences of up to {chance:.0f} points may be chance."
            out.print(Text(line), soft_wrap=True)
    else:
        best_figure = max(epoch.figure for epoch in trained.fitted.history)
        line = (
            f"Training did not beat {base} on validation: the best of {ran} epochs reached success@1 "
            f"{best_figure:.3f}, {base} has {mean['before']['success@1']:.3f}. Written are the base's own heads."
        )
        out.print(Text(line, style="bold"), soft_wrap=True)


def _cells(before: Mapping[str, float], after: Mapping[str, float]) -> list[str]:
    return [f"{one[f'success@{k}']:.3f}" for k in (1, 10) for one in (before, after)]
