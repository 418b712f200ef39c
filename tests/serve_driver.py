"""`catalens serve` with a fake model, in a process of its own: `python -m tests.serve_driver MARK serve …`.

A query "slow" writes into the file MARK how many objects garbage collection leaves alone, and then takes two seconds.
"""

import gc
import sys
from collections.abc import Sequence
from pathlib import Path
from time import sleep

import api.http.server
from api import cli
from retrieval.arrays import FloatArray
from tests.fakes import ColourEncoder

mark = Path(sys.argv.pop(1))


class Slow(ColourEncoder):
    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        if "slow" in texts:
            mark.write_text(str(gc.get_freeze_count()))
            sleep(2)
        return super().encode_texts(texts)


api.http.server.load_encoder = lambda *_, **__: Slow()  # type: ignore[attr-defined]
cli.main()
