"""What filters, facets and sorting cost over a real collection of many items, and what its table of items costs.

    python -m benchmarks.filters [ITEMS ...] [--out benchmarks/results/filters.jsonl]

The items are made up: a title of six words out of 3,000, a price, a category of 30, one of 5,000 brands (the popular
ones more often), up to three of 12 colours, whether it is in stock, a day out of 2,000; a tenth of the values is
missing. They have one photo and one text each but no vectors, which have no part in this. Every time is the median of
several runs in one process with one thread; `first` is the first run, which folds the case of titles once, for example.
"""

import argparse
import gc
import json
import os
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from sqlalchemy import insert, update

from benchmarks.environment import describe
from indexer.changes import write_counters
from indexer.writer import open_writer
from retrieval.catalogue.engine import DATABASE, writing_engine
from retrieval.catalogue.schema import items, photos, sources, texts
from retrieval.collection import Collection
from retrieval.encoders.base import EncoderSpec
from retrieval.filters import facets, matching, order, parse

SPEC = EncoderSpec(name="synthetic", weights_hash="1", tokenizer="none", dimension=4)
BLOCK = 20_000
WRITTEN = 32  # items of one batch of the indexer
RUNS = 15

FILTERS = (
    "price < 50",
    "price between 20 and 40",
    "price in (9.99, 19.99, 29.99)",
    'category = "category 7"',
    'category in ("category 1", "category 7", "category 20")',
    'brand = "brand 3"',
    'brand starts with "brand 12"',
    'added >= "2024-01-01"',
    "stock = true",
    "brand is null",
    'colours = "colour 3"',
    'colours in ("colour 3", "colour 5")',
    'title contains "w17"',
    'title starts with "w1"',
    'title = "no such title"',
    'price < 50 and category = "category 7" and not colours = "colour 3"',
)
FACETS = ("category", "brand", "colours", "stock", "price", "price:0,10,25,50,100", "title")
SORTS = ("price", "-price", "brand,price", "title")
FIELDS = ("item_id", "title", "price", "category", "brand", "colours", "stock", "added")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("items", nargs="*", type=int, default=[100_000, 1_000_000])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    for count in arguments.items:
        with tempfile.TemporaryDirectory() as folder:
            fill(Path(folder), count)
            figures = measure(Path(folder))
        line = json.dumps({"benchmark": "filters", "items": count, **figures, **describe()})
        print(line, flush=True)
        if arguments.out:
            with arguments.out.open("a") as out:
                out.write(line + "\n")


def measure(folder: Path) -> dict[str, Any]:
    """All figures: seconds for loading, milliseconds for what a search does, megabytes of resident memory."""
    with Collection.open(folder) as collection:
        collection.view()
        before = resident_mb()
        load_s, (_, table) = timed(collection.view_with_items)
        loaded = resident_mb()
        columns, memory = {}, {}
        for name in FIELDS:
            columns[name], column = timed(lambda name=name: table.column(name))
            memory[name] = size_mb(column)
        fields_s, _ = timed(table.fields)
        matched = {text: repeated(lambda text=text: matching(parse(text), table)) for text in FILTERS}
        parsed = repeated(lambda: parse(FILTERS[-1]))
        allowed = matching(parse("price < 50"), table)
        chosen = np.flatnonzero(allowed)
        answer: dict[str, Any] = {
            "load": round(os.getloadavg()[0], 1),
            "load_s": round(load_s, 2),
            "table_mb": round(loaded - before, 1),
            "column_s": {name: round(seconds, 2) for name, seconds in columns.items()},
            "column_mb": memory,
            "resident_mb": round(resident_mb(), 1),
            "fields_s": round(fields_s, 2),
            "parse_ms": parsed,
            "matching_ms": matched,
            "mask_ms": repeated(lambda: table.mask("image", allowed)),
            "items_of_ms": repeated(lambda: table.items_of("image", np.arange(1, 10_000))),
            "selected": len(chosen),
            "facets_ms": {text: repeated(lambda text=text: facets(table, allowed, [text])) for text in FACETS},
            "order_ms": {text: repeated(lambda text=text: order(table, text, chosen)) for text in SORTS},
            "first_10_ms": {text: repeated(lambda text=text: order(table, text, chosen, 10)) for text in SORTS},
        }
        with Collection.open(folder) as fresh:
            one_pass_s, _ = timed(lambda: fresh.view_with_items(FIELDS))
        answer["one_pass_s"] = round(one_pass_s, 2)
        answer["refresh_ms"] = refreshed(folder, collection, ("price", "category", "stock"))
        return answer


def refreshed(folder: Path, collection: Collection, names: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Milliseconds until a reader has a table again after a batch was written: with all columns, and with three."""
    answer = {"all_columns": repeated(lambda: collection.view_with_items(FIELDS), lambda: write(folder), runs=5)}
    with Collection.open(folder) as other:
        other.view_with_items(names)
        answer["three_columns"] = repeated(lambda: other.view_with_items(names), lambda: write(folder), runs=5)
    return answer


def fill(folder: Path, count: int) -> None:
    """Write a collection of made-up items, each with a photo and a title, without vectors."""
    generator = np.random.default_rng(count)
    days = np.datetime64("2019-01-01") + np.arange(2_000)
    with open_writer(folder, SPEC) as writer, writer.engine.begin() as connection:
        connection.execute(insert(sources), {"id": 1, "kind": "table", "location": "synthetic"})
        for start in range(1, count + 1, BLOCK):
            size = min(BLOCK, count + 1 - start)
            words = generator.integers(0, 3_000, (size, 6))
            drawn = {
                "price": np.round(np.exp(generator.normal(3.5, 1, size)), 2).tolist(),
                "category": [f"category {n}" for n in generator.integers(0, 30, size)],
                "brand": [f"brand {n}" for n in np.minimum(generator.zipf(1.3, size), 5_000)],
                "colours": [
                    [f"colour {n}" for n in generator.integers(0, 12, k)] for k in generator.integers(1, 4, size)
                ],
                "stock": (generator.random(size) < 0.7).tolist(),
                "added": [str(day) for day in generator.choice(days, size)],
            }
            missing = generator.random((size, len(drawn))) < 0.1
            keys = range(start, start + size)
            titles = [" ".join(f"w{n}" for n in row) for row in words.tolist()]
            rows = [
                {
                    "id": key,
                    "item_id": f"SKU-{key:07}",
                    "source_id": 1,
                    "title": titles[place],
                    "attributes": {
                        name: None if missing[place, column] else values[place]
                        for column, (name, values) in enumerate(drawn.items())
                    },
                    "row_hash": "",
                }
                for place, key in enumerate(keys)
            ]
            photo = {"position": 0, "content_hash": "", "width": 1, "height": 1}
            connection.execute(insert(items), rows)
            connection.execute(insert(photos), [{"id": key, "item": key, "path": str(key), **photo} for key in keys])
            named = [{"id": key, "item": key, "field": "title", "content": titles[key - start]} for key in keys]
            connection.execute(insert(texts), named)
        write_counters(connection, {"revision": 1, "items": count, "photos": count, "texts": count})


def write(folder: Path) -> None:
    """Change as many items as the indexer writes at once."""
    write.revision = getattr(write, "revision", 1) + 1  # type: ignore[attr-defined]
    revision = write.revision  # type: ignore[attr-defined]
    engine = writing_engine(folder / DATABASE)
    with engine.begin() as connection:
        first = revision * 100
        connection.execute(
            update(items)
            .where(items.c.id.between(first, first + WRITTEN - 1))
            .values(title=f"changed {revision}", revision=revision)
        )
        write_counters(connection, {"revision": revision})
    engine.dispose()


def timed(act: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came of it."""
    started = time.perf_counter()
    answer = act()
    return time.perf_counter() - started, answer


def repeated(act: Callable[[], Any], before: Callable[[], Any] = lambda: None, runs: int = RUNS) -> dict[str, float]:
    """Milliseconds: the median of all runs but the first, the fastest, and the first.

    On a machine that is busy with other work the fastest says what the work itself takes.
    """
    seconds = []
    for _ in range(runs):
        before()
        seconds.append(timed(act)[0])
    found = {"ms": median(seconds[1:]), "fastest_ms": min(seconds), "first_ms": seconds[0]}
    return {name: round(value * 1000, 3) for name, value in found.items()}


def size_mb(column: Any) -> float:
    """Memory of the arrays of a column, without the case-folded words that `contains` adds."""
    arrays = [array for array in vars(column).values() if isinstance(array, np.ndarray)]
    words = column.words.array.nbytes if hasattr(column, "words") else 0
    return round((sum(array.nbytes for array in arrays) + words) / 1e6, 1)


def resident_mb() -> float:
    """Resident memory of this process now."""
    gc.collect()
    found = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    main()
