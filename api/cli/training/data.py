"""What `catalens train` trains on, chosen and said, and what is left of it where somebody stops the training."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console
from rich.text import Text

from api.cli.formats import one_line
from api.cli.output import err, out, print_json

if TYPE_CHECKING:
    from retrieval.training.data import TrainingData

LABELS = {"images": "Encoding pictures", "texts": "Encoding texts", "epochs": "Training epochs"}


@dataclass(frozen=True)
class DataChoice:
    """Training data as asked for on the command line."""

    names: Sequence[str]
    split: str = ""
    languages: Sequence[str] = ()
    images_dir: Path | None = None

    def read(self) -> "TrainingData":
        """Read the sets; a built-in one is fetched first, which stderr says."""
        from indexer.training_data import read_training_data
        from retrieval.settings import cache_dir

        return read_training_data(
            self.names,
            cache_dir=cache_dir(),
            on_message=partial(err.print, markup=False, soft_wrap=True),
            split=self.split,
            languages=self.languages,
            images_dir=self.images_dir,
        )


def read_and_say(chosen: DataChoice, *, dry_run: bool, as_json: bool) -> "TrainingData":
    """Read what is trained on and print it: on stdout, but for JSON of the result that comes there later."""
    data = chosen.read()
    if dry_run and as_json:
        print_json({"data": data.summary(), "languages": list(data.languages), "notes": list(data.notes)})
    else:
        _say(err if as_json else out, data)
    return data


def stopped(what: str, computed: str, kept: Path) -> NoReturn:
    """End the program as Ctrl-C does, saying what was not written and what is kept."""
    err.print(f"\nStopped. No {what} written. The {computed} computed so far are kept in {kept}.", markup=False)
    err.print("  To go on from there, run the same command again.")
    sys.exit(130)


def _say(console: Console, data: "TrainingData") -> None:
    # by data set, and together
    for source, counts in data.summary().items():
        pictures, texts, *groups = counts.items()
        listed = ", ".join(f"{count:,} {group.removesuffix(' texts')}" for group, count in groups)
        line = f"{source}: {pictures[1]:,} pictures with {texts[1]:,} different texts ({listed})"
        console.print(Text(one_line(line)), soft_wrap=True)
    pairs = sum(len(texts) for one in data.pictures for texts in one.texts.values())
    languages = f"; languages: {', '.join(data.languages)}" if data.languages else ""
    line = f"together: {len(data.pictures):,} pictures, {pairs / max(1, len(data.pictures)):.1f} texts each{languages}"
    console.print(Text(line), soft_wrap=True)
    for note in data.notes:
        console.print(Text(one_line(f"note: {note}")), style="dim", soft_wrap=True)
