"""Rebuild the list of pictures that the heads of `starter` were trained on; run it with every new pair of heads:

    python -m retrieval.training.recipes.starter_seen --data DIR [--out FILE]

DIR is the one that `retrieval.training.recipes.starter` takes. No model is needed: the list is of the data alone.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from retrieval.encoders.seen import digest, packed
from retrieval.encoders.starter import SEEN
from retrieval.images import read_file
from retrieval.training.sources import Example, read_sources


def seen_by(examples: Sequence[Example]) -> bytes:
    """The file for the examples that train. Raises ImageError if a picture cannot be read."""
    return packed(digest(read_file(example.image)) for example in examples if example.part == "train")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the list."""
    parser = argparse.ArgumentParser(prog="python -m retrieval.training.recipes.starter_seen")
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--out", type=Path, default=SEEN, help="file to write; otherwise the one that is shipped")
    options = parser.parse_args(arguments)
    options.out.write_bytes(seen_by(read_sources(options.data)))


if __name__ == "__main__":
    main()
