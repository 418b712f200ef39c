"""From a reranker's name to one that runs."""

from retrieval.rerankers.base import Reranker
from retrieval.rerankers.folder import read


def load_reranker(name: str, *, runtime: str | None = None) -> Reranker:
    """`starter`, or a folder that `catalens train reranker` wrote.

    runtime: `torch`, `openvino` or `auto`; None takes what the environment says, else `auto`.

    Raises WeightsUnavailable or EncoderError for files that are missing or damaged, QueryError for an unknown runtime.
    """
    from retrieval.runtime.choose import chosen

    chosen(runtime)
    stored = read(name)
    from retrieval.rerankers.torch_reranker import TorchReranker

    return TorchReranker(stored.module(), stored.spec, stored.dimension)
