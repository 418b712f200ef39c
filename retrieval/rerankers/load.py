"""From a reranker's name to one that runs."""

from retrieval.rerankers.base import Reranker
from retrieval.rerankers.folder import read


def load_reranker(name: str, *, runtime: str | None = None) -> Reranker:
    """`starter`, or a folder that `catalens train reranker` wrote.

    runtime: `torch`; `openvino`, which is made on first use (seconds) and kept in the user's cache; or `auto`: OpenVINO
    if it gives torch's logits, else torch, and says so once. None takes what the environment says, else `auto`.

    Raises WeightsUnavailable or EncoderError for files that are missing or damaged, QueryError for an unknown runtime,
    and where OpenVINO was asked for ExportError or StorageError if it cannot be had.
    """
    from retrieval.runtime.choose import OPENVINO, TORCH, chosen, say_once

    wanted = chosen(runtime)
    stored = read(name)
    if wanted != TORCH:
        from retrieval.errors import ExportError, StorageError
        from retrieval.rerankers.exported import open_or_make

        try:
            return open_or_make(stored)
        except (ExportError, StorageError) as error:
            if wanted == OPENVINO:
                raise
            say_once(f"the reranker {name} runs in torch: {error}")
    from retrieval.rerankers.torch_reranker import TorchReranker

    return TorchReranker(stored.module(), stored.spec, stored.dimension)
