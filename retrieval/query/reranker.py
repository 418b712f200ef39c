"""The reranker of a searcher: the one that was given, or the one built in for its encoder, loaded on first use."""

from threading import Lock

from retrieval.arrays import FloatArray
from retrieval.encoders.base import DualEncoder, EncoderSpec, TokenEncoder
from retrieval.errors import EncoderError
from retrieval.rerankers import default_reranker, load_reranker
from retrieval.rerankers.base import Direction, Reranker, RerankerSpec
from retrieval.rerankers.pairs import require_tokens
from retrieval.tokens.value import Tokens


def require_readable(reranker: RerankerSpec, encoder: DualEncoder) -> None:
    """Raise EncoderError unless the encoder gives tokens, FingerprintMismatch unless the reranker reads them."""
    tokens = encoder.token_spec if isinstance(encoder, TokenEncoder) else None
    if tokens is None:
        raise EncoderError(
            f"{encoder.spec.name} gives no tokens, which the reranker {reranker.name} reads",
            hint="try --runtime torch, or search without a reranker",
        )
    require_tokens(reranker, tokens)


class QueryReranker:
    """Thread-safe: one thread computes at a time.

    given: None for the one built in. encoder: that of the collection. runtime: what the one built in runs on.
    """

    def __init__(self, given: Reranker | None, encoder: EncoderSpec, runtime: str | None = None) -> None:
        self._given, self._encoder, self._runtime = given, encoder, runtime
        self._missing: str | None = None
        self._working = Lock()

    def spec(self) -> RerankerSpec | str:
        """That of the reranker, or why there is none: one that could not be loaded is not tried again."""
        with self._working:
            if self._given is None and self._missing is None:
                self._load()
            return self._given.spec if self._given is not None else self._missing or ""

    def match(self, direction: Direction, query: Tokens, found: Tokens) -> FloatArray:
        """float32 [n]: how well one text fits n photos, or one photo n texts. Raises whatever the reranker does."""
        texts, photos = (query, found) if direction == "text_to_image" else (found, query)
        with self._working:
            if self._given is None:
                raise ValueError("no reranker was loaded")
            return self._given.match(texts, photos)

    def _load(self) -> None:
        named = self._encoder.name
        try:
            name = default_reranker(self._encoder.fingerprint)
            if name is None:
                self._missing = (
                    f"none is built in for {named}; make one with catalens train reranker DATA --base {named} --out "
                    "DIR, and name it with --reranker DIR"
                )
            else:
                self._given = load_reranker(name, runtime=self._runtime)
        except Exception as error:  # a damaged installation fails no search
            self._missing = f"it cannot be loaded: {' '.join(str(error).split())[:200]}"
