"""The tokenizer of an open_clip model, written so that it opens without torch.

Equal ids are not taken on trust: what was written is compared with open_clip's own tokenizer on awkward texts.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.encoders.clip_tokens import CLEANINGS, Tokens, write_vocabulary
from retrieval.errors import EncoderError, ExportError
from retrieval.runtime.bank import awkward_texts

VOCABULARY = "merges.txt"
FACTS = "tokenizer.json"


def write_tokenizer(folder: Path, tokenizer: Any, published: Path) -> None:
    """Write it into a folder.

    tokenizer: open_clip's. published: the vocabulary that open_clip ships, gzipped.

    Raises ExportError if no cleaning of texts gives the ids that the tokenizer gives: another vocabulary, or a
    tokenizer of another library.
    """
    texts = awkward_texts()
    expected = tokenizer(texts).numpy()
    write_vocabulary(folder / VOCABULARY, published)
    for cleaning in CLEANINGS:
        tokens = Tokens(folder / VOCABULARY, context=expected.shape[1], cleaning=cleaning)
        if np.array_equal(tokens(texts), expected):
            facts = {"context": tokens.context, "cleaning": cleaning}
            (folder / FACTS).write_text(json.dumps(facts), encoding="utf-8")
            return
    raise ExportError(
        f"its tokenizer ({type(tokenizer).__name__}) cannot be had without torch: other ids on {len(texts)} texts",
        hint="it runs in torch as before: --runtime torch",
    )


def read_tokenizer(folder: Path) -> Callable[[Sequence[str]], npt.NDArray[np.int64]]:
    """The tokenizer in a folder. Raises EncoderError if it cannot be read."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        return Tokens(folder / VOCABULARY, context=int(facts["context"]), cleaning=facts["cleaning"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EncoderError(f"cannot read the tokenizer in {folder}: {error!r}", hint="export again") from error
