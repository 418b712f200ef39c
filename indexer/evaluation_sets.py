"""Whatever can be judged, by name or path: a built-in set, a benchmark in a known format, or a catalogue."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from indexer import demo_catalogue
from indexer.evaluation_catalogue import read_catalogue
from indexer.sources import open_source
from retrieval.errors import EvaluationError
from retrieval.evaluation import datasets
from retrieval.evaluation.datasets import stamps
from retrieval.evaluation.datasets.builtin import BUILTIN
from retrieval.evaluation.datasets.choices import no_choice
from retrieval.evaluation.types import EvaluationSet


def open_evaluation_set(
    name: str,
    *,
    cache_dir: Path,
    on_message: Callable[[str], None],
    split: str = "",
    language: str = "",
    images_dir: Path | None = None,
    allow_missing: bool = False,
    queries: Literal["title", "attributes"] | Path = "title",
) -> EvaluationSet:
    """The set that `name` means: a name in BUILTIN, else a path (`./stamps` is a path).

    cache_dir: where built-in sets are kept once they were fetched. on_message: told in a line what is being fetched.
    queries: for catalogues only, see `read_catalogue`; the other options are those of `datasets.read`.

    Raises EvaluationError, SourceError for a catalogue that cannot be opened, StorageError where the disk refuses.
    """
    path = Path(name)
    if name == "stamps":
        _no_queries(name, queries)
        no_choice(split=split, of=name)
        return stamps.read(stamps.fetch(cache_dir, on_message=on_message), language=language)
    if name not in BUILTIN and datasets.recognise(path):
        _no_queries(name, queries)
        return datasets.read(path, split=split, language=language, images_dir=images_dir, allow_missing=allow_missing)
    no_choice(split=split, language=language, of=name)
    if name == "demo":
        products = demo_catalogue.fetch(cache_dir, on_message=on_message)
        images_dir = products.parent / "images"
        source = open_source(
            products, images_dir=images_dir, id_column="slug", image_column="assets", title_column="name"
        )
    else:
        source = open_source(path, images_dir=images_dir)
    found = read_catalogue(source, queries=queries, images_dir=images_dir, allow_missing=allow_missing)
    return replace(found, name="demo") if name == "demo" else found


def _no_queries(name: str, queries: str | Path) -> None:
    if queries != "title":
        raise EvaluationError(
            f"{name} has queries of its own, and --queries {queries} was asked for",
            hint="--queries is for catalogues; leave it out.",
        )
