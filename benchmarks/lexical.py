"""How long words take on a million short titles:

    python -m benchmarks.lexical [--rows 1000000] [--out benchmarks/results/lexical.jsonl]

Titles are eight words drawn by Zipf's law from 20,000; a query is words by the share of the titles that have them.
First: nothing is remembered of its words. Again: what each of them matches is. Filtered: again, with a tenth of the
items allowed. Milliseconds and seconds are those of one core: the machine may be busy with other work.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np
from sqlalchemy import Connection

from benchmarks.environment import describe
from retrieval.catalogue import lexical
from retrieval.catalogue.engine import DATABASE, reading_engine, writing_engine
from retrieval.catalogue.versions import upgrade
from retrieval.index.base import IdMask
from retrieval.lexical import terms

LENGTH, VOCABULARY = 8, 20_000
LIMIT = 200
SHARES = ((0.0001,), (0.001,), (0.01,), (0.1,), (0.4,), (0.1, 0.01), (0.4, 0.1, 0.01))
REPEATS = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        titles = drawn(arguments.rows)
        seconds = fill(folder, titles)
        held = np.array([len(np.unique(np.nonzero(titles == word)[0])) for word in range(200)]) / len(titles)
        rare = {share: int(np.abs(frequency(titles) - share).argmin()) for share in (0.0001, 0.001)}
        allowed = IdMask(np.random.default_rng(1).random(len(titles) + 1) < 0.1)
        engine = reading_engine(folder)
        with engine.connect() as connection, connection.begin():
            for shares in SHARES:
                words = [rare.get(share, int(np.abs(held - share).argmin())) for share in shares]
                line = {
                    "benchmark": "lexical",
                    "rows": arguments.rows,
                    "shares": shares,
                    **timed(connection, " ".join(f"w{word}" for word in words), allowed),
                    "fill_s": round(seconds, 1),
                    "database_mb": round((folder / DATABASE).stat().st_size / 1e6),
                    **describe(),
                }
                print(json.dumps(line), flush=True)
                if arguments.out:
                    with arguments.out.open("a") as out:
                        out.write(json.dumps(line) + "\n")
        engine.dispose()


def drawn(rows: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """int64 [rows, LENGTH], words by their rank."""
    chances = 1 / np.arange(1, VOCABULARY + 1)
    return np.random.default_rng(0).choice(VOCABULARY, size=(rows, LENGTH), p=chances / chances.sum())


def frequency(titles: np.ndarray[tuple[int, int], np.dtype[np.int64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Share of the titles for each word, a word twice in a title counted twice: right for rare ones."""
    return np.bincount(titles.ravel(), minlength=VOCABULARY) / len(titles)


def fill(folder: Path, titles: np.ndarray[tuple[int, int], np.dtype[np.int64]]) -> float:
    """Seconds it took."""
    engine = writing_engine(folder / DATABASE)
    upgrade(engine, folder)
    started = process_time()
    for start in range(0, len(titles), 10_000):
        batch = titles[start : start + 10_000]
        rows = [
            lexical.row(start + place + 1, " ".join(f"w{word}" for word in title), ())
            for place, title in enumerate(batch.tolist())
        ]
        with engine.begin() as connection:
            lexical.add(connection, rows)
    seconds = process_time() - started
    engine.dispose()
    return seconds


def timed(connection: Connection, query: str, allowed: IdMask) -> dict[str, float | int]:
    """Medians in milliseconds of one core."""
    wanted = terms(query)
    postings = lexical.Postings()
    matched = len(lexical.lexical_matches(connection, wanted, postings=postings).keys)
    ways: Sequence[tuple[str, Callable[[], object]]] = (
        ("first_ms", lambda: lexical.lexical_matches(connection, wanted, LIMIT)),
        ("again_ms", lambda: lexical.lexical_matches(connection, wanted, LIMIT, None, postings)),
        ("filtered_ms", lambda: lexical.lexical_matches(connection, wanted, LIMIT, allowed, postings)),
    )
    return {"matched": matched} | {name: round(median(_took(way) for _ in range(REPEATS)), 2) for name, way in ways}


def _took(way: Callable[[], object]) -> float:
    started = process_time()
    way()
    return (process_time() - started) * 1000


if __name__ == "__main__":
    main()
