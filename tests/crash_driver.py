"""Runs one index run in a process of its own, so that a test can kill it.

python -m tests.crash_driver PHOTOS COLLECTION
"""

import sys
import time
from pathlib import Path

from indexer.pipeline import index_sources
from indexer.sources import open_source
from retrieval.encoders.base import FloatArray
from tests.fakes import ColourEncoder, Pixels


class SlowColourEncoder(ColourEncoder):
    """Takes 3 ms a photo, so that a kill meets every stage of the run."""

    def encode_images(self, pixels: Pixels) -> FloatArray:
        time.sleep(0.003 * len(pixels))
        return super().encode_images(pixels)


def main(photos: Path, collection: Path) -> None:
    source = open_source(photos)
    sys.stdout.write("started\n")
    sys.stdout.flush()
    index_sources(collection, [source], SlowColourEncoder())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
