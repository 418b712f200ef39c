"""Encoders of a server: each model once, shared by all collections that were made with it."""

from collections.abc import Callable
from threading import Lock

from retrieval.encoders.base import DualEncoder

Load = Callable[[str], DualEncoder]


class Encoders:
    """Loads models by name. Thread-safe: two collections of one model wait for one loading."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._loading = Lock()
        self._loaded: dict[str, DualEncoder] = {}

    def of(self, name: str) -> DualEncoder:
        """The encoder of that name, loaded on first use. Raises what `load_encoder` raises."""
        with self._loading:
            if name not in self._loaded:
                self._loaded[name] = self._load(name)
            return self._loaded[name]
