"""Which pictures an encoder and a reranker were trained on, as far as they say: figures on those flatter them."""

from pathlib import Path

from retrieval.encoders.base import STARTER, DualEncoder
from retrieval.encoders.projected import ProjectedEncoder
from retrieval.encoders.seen import read_seen
from retrieval.rerankers.base import RerankerSpec


def pictures_trained_on(encoder: DualEncoder, reranker: RerankerSpec) -> frozenset[bytes]:
    """As `read_seen` gives them: those of the encoder's heads, and those that the reranker's own list has.

    The one that is built in learned from pictures that its encoder was trained on too, and has no list of its own.

    Raises EncoderError for a list that is not whole.
    """
    seen = read_seen(encoder.seen) if isinstance(encoder, ProjectedEncoder) else frozenset()
    name = reranker.facts.get("seen")
    if reranker.name == STARTER or not isinstance(name, str) or not name or Path(name).name != name:
        return seen  # a name must not lead out of the folder
    return seen | read_seen(Path(reranker.name) / name)
