"""What `catalens export` does and prints."""

import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from retrieval.errors import ImageError, SourceError

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_IMAGES = 200

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def export(model: str, images: Path | None, *, as_json: bool) -> None:
    """Export a model and print how near it comes to torch."""
    from retrieval.encoders import load_encoder
    from retrieval.runtime.choose import TORCH
    from retrieval.runtime.export import export as export_encoder
    from retrieval.runtime.gate import EXACT

    encoder = load_encoder(model, runtime=TORCH)
    pictures = list(_pictures(images, encoder.image_size)) if images else []
    done = export_encoder(
        encoder, pictures=pictures, tell=lambda said: err.print(said, style="dim", markup=False, soft_wrap=True)
    )
    manifest = done.export.manifest
    size = sum((done.export.folder / name).stat().st_size for name in manifest["files"])
    if as_json:
        found = {
            "model": encoder.spec.name,
            "fingerprint": encoder.spec.fingerprint,
            "folder": str(done.export.folder),
            "bytes": size,
            "threshold": EXACT,
            "pictures": len(pictures),
            "graphs": manifest["graphs"],
            "gates": manifest["gates"],
        }
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("vectors", "precision", "lowest cosine with torch", "mean", ""):
        table.add_column(heading, justify="right" if "cosine" in heading or heading == "mean" else "left")
    for side, tried in done.gates.items():
        for precision, one in tried.items():
            verdict = "used" if one.reaches(EXACT) else f"refused: below {EXACT}"
            table.add_row(side, precision, f"{one.lowest:.6f}", f"{one.mean:.6f}", verdict)
    out.print(table)
    out.print(Text(f"{encoder.spec.name} runs on OpenVINO from now on ({size / 1e6:,.0f} MB in {done.export.folder})"))


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
                yield decode_file(photo, target=target).image
            except ImageError:
                continue
            found += 1
    if not found:
        raise SourceError(f"none of the photos in {folder} can be read", hint="name another folder with --images")
