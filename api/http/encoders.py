"""Models of a server: each once, shared by all collections that were made with it."""

from collections.abc import Callable
from threading import Lock

from PIL import Image

from api.http.batching import BatchingEncoder, OnCall, batching
from retrieval.arrays import FloatArray
from retrieval.encoders.base import DualEncoder
from retrieval.rerankers.base import Reranker, RerankerSpec
from retrieval.tokens.value import Tokens

Load = Callable[[str], DualEncoder]


class Encoders:
    """Loads models by name, for many threads. Thread-safe: two collections of one model wait for one loading."""

    def __init__(self, load: Load, batch_ms: float) -> None:
        self._load, self._batch_ms = load, batch_ms
        self.on_call: OnCall = None
        self._loading = Lock()
        self._loaded: dict[str, BatchingEncoder] = {}  # by fingerprint

    def of(self, name: str, fingerprint: str) -> BatchingEncoder:
        """The encoder of that name, loaded and warmed when it is first needed.

        fingerprint: of the vectors to compare with; a folder's model may have been trained anew since it was loaded.
        Raises what `load_encoder` raises; whether the fingerprint fits is for the caller to see.
        """
        with self._loading:
            if fingerprint in self._loaded:
                return self._loaded[fingerprint]
            encoder = batching(self._load(name), self._batch_ms)
            try:
                warm(encoder)
            except BaseException:
                encoder.close()
                raise
            encoder.on_call = self.on_call
            loaded = self._loaded.setdefault(encoder.spec.fingerprint, encoder)
            if loaded is not encoder:
                encoder.close()
            return loaded

    def all(self) -> list[BatchingEncoder]:
        """Those that were loaded."""
        with self._loading:
            return list(self._loaded.values())

    def close(self) -> None:
        """End their threads. What is asked for after this is loaded anew."""
        with self._loading:
            for encoder in self._loaded.values():
                encoder.close()
            self._loaded.clear()


def warm(encoder: DualEncoder) -> None:
    """Have both towers loaded and used once: the starter would load each at the first query that needs it."""
    encoder.encode_texts(["a photo"])
    picture = Image.new("RGB", (encoder.image_size, encoder.image_size), (127, 127, 127))
    encoder.encode_images(encoder.preprocess(picture)[None])


def one_at_a_time(reranker: Reranker) -> Reranker:
    """A reranker that searchers of several collections may share: one thread computes, the others wait."""
    return _Shared(reranker)


class _Shared:
    def __init__(self, inner: Reranker) -> None:
        self._inner, self._working = inner, Lock()

    @property
    def spec(self) -> RerankerSpec:
        return self._inner.spec

    @property
    def runtime(self) -> str:
        return self._inner.runtime

    def match(self, texts: Tokens, photos: Tokens) -> FloatArray:
        with self._working:
            return self._inner.match(texts, photos)
