"""What `catalens export` does and prints."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from api.cli.output import err, out, print_json
from retrieval.errors import ImageError, SourceError

if TYPE_CHECKING:
    from PIL.Image import Image

    from retrieval.evaluation.types import EvaluationSet
    from retrieval.runtime.int8 import Trial

MOST_IMAGES = 200
SMALL = 4  # times the encoder's side: there is still something to resize, and no picture takes more than 2.4 MB at 224


def export(model: str, images: Path | None, int8: str | None, split: str, *, as_json: bool) -> None:
    """Export a model and print how near it comes to torch."""
    from retrieval.encoders import load_encoder
    from retrieval.runtime.choose import TORCH
    from retrieval.runtime.export import export as export_encoder
    from retrieval.runtime.gate import EXACT, INT8, INT8_LOSS

    labelled = _labelled(int8, split) if int8 else None
    encoder = load_encoder(model, runtime=TORCH)
    pictures = list(_pictures(images, encoder.image_size)) if images else []
    done = export_encoder(encoder, pictures=pictures, tell=_tell)
    exported = done.export
    trials: dict[str, Trial] = {}
    if labelled is not None:
        from retrieval.runtime.int8 import try_int8

        exported, trials = try_int8(done.export, encoder, labelled, _tell)
    manifest = exported.manifest
    size = sum((exported.folder / name).stat().st_size for name in manifest["files"])
    if as_json:
        found = {
            "model": encoder.spec.name,
            "fingerprint": encoder.spec.fingerprint,
            "folder": str(exported.folder),
            "bytes": size,
            "threshold": EXACT,
            "pictures": len(pictures),
            "graphs": manifest["graphs"],
            "gates": manifest["gates"],
            "int8": {
                side: {"lowest": one.cosines.lowest, "lost_success@1": dict(one.lost), "used": one.passed}
                for side, one in trials.items()
            },
        }
        print_json(found)
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("vectors", "precision", "lowest cosine with torch", "mean", ""):
        table.add_column(heading, justify="right" if "cosine" in heading or heading == "mean" else "left")
    for side, tried in done.gates.items():
        for precision, one in tried.items():
            verdict = "used" if one.reaches(EXACT) else f"refused: below {EXACT}"
            table.add_row(side, precision, f"{one.lowest:.6f}", f"{one.mean:.6f}", verdict)
    for side, trial in trials.items():
        lost = ", ".join(f"{direction} {100 * share:+.1f}" for direction, share in trial.lost.items())
        verdict = "used" if trial.passed else f"refused: {INT8} and {100 * INT8_LOSS:.1f} points are asked for"
        row = (f"{trial.cosines.lowest:.6f}", f"{trial.cosines.mean:.6f}", f"{verdict}; points lost: {lost}")
        table.add_row(side, "int8", *row)
    out.print(table)
    said = f"{encoder.spec.name} runs on OpenVINO from now on ({size / 1e6:,.0f} MB in {exported.folder})"
    out.print(Text(said), soft_wrap=True)


def _tell(said: str) -> None:
    err.print(said, style="dim", markup=False, soft_wrap=True)


def _labelled(name: str, split: str) -> "EvaluationSet":
    """The set, opened before anything is exported: a wrong name shows at once."""
    from api.cli.evaluation.commands import SetChoice

    return SetChoice(name, split, "", None, "title", False).open()


def _pictures(folder: Path, target: int) -> "Iterator[Image]":
    """Photos spread evenly over a folder; those that cannot be read are left out. Raises SourceError if none can."""
    from indexer.sources import open_source
    from indexer.sources.base import SourceItem
    from retrieval.images import decode_file

    source = open_source(folder)
    step = max(1, source.count() // MOST_IMAGES)
    found = 0
    for item in islice(source.items(), 0, None, step):
        if not isinstance(item, SourceItem) or found >= MOST_IMAGES:
            continue
        for photo in item.photos[:1]:
            try:
                picture = decode_file(photo, target=target).image
            except ImageError:
                continue
            picture.thumbnail((SMALL * target, SMALL * target))  # all are held until the last is compared
            yield picture
            found += 1
    if not found:
        raise SourceError(f"none of the photos in {folder} can be read", hint="name another folder with --images")
