"""What `catalens train` trains on: chosen, and said."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from api.cli.formats import one_line
from api.cli.output import err

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


def say_data(console: Console, data: "TrainingData") -> None:
    """Print what is trained on, by data set and together."""
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
