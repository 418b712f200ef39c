"""Encoders of a server: each model once, shared by all collections that were made with it."""

from collections.abc import Callable
from threading import Lock

from PIL import Image

from api.http.batching import BatchingEncoder, batching
from retrieval.encoders.base import DualEncoder

Load = Callable[[str], DualEncoder]


class Encoders:
    """Loads models by name, for many threads. Thread-safe: two collections of one model wait for one loading."""

    def __init__(self, load: Load, batch_ms: float) -> None:
        self._load, self._batch_ms = load, batch_ms
        self._loading = Lock()
        self._loaded: dict[str, BatchingEncoder] = {}

    def of(self, name: str) -> BatchingEncoder:
        """The encoder of that name, loaded and warmed on first use. Raises what `load_encoder` raises."""
        with self._loading:
            if name not in self._loaded:
                encoder = batching(self._load(name), self._batch_ms)
                try:
                    warm(encoder)
                except BaseException:
                    encoder.close()
                    raise
                self._loaded[name] = encoder
            return self._loaded[name]

    def all(self) -> dict[str, BatchingEncoder]:
        """Those that were loaded, by their names."""
        with self._loading:
            return dict(self._loaded)

    def close(self) -> None:
        """End their threads."""
        for encoder in self.all().values():
            encoder.close()


def warm(encoder: DualEncoder) -> None:
    """Have both towers loaded and used once: the starter would load each at the first query that needs it."""
    encoder.encode_texts(["a photo"])
    picture = Image.new("RGB", (encoder.image_size, encoder.image_size), (127, 127, 127))
    encoder.encode_images(encoder.preprocess(picture)[None])
