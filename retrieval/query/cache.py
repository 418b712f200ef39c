"""Vectors of the texts that were asked for lately: a query that comes again costs no encoding."""

from collections import OrderedDict
from threading import Lock

from retrieval.encoders.base import DualEncoder, FloatArray

SIZE = 1_024  # queries; at 512 numbers each, 2 MB


class QueryCache:
    """The last texts of one encoder with their vectors, the longest unused dropped first. Thread-safe.

    It belongs to one encoder, so a text is all that a vector hangs on. One thread encodes at a time, since towers take
    no more than one; known texts do not wait for it.
    """

    def __init__(self, encoder: DualEncoder, size: int = SIZE) -> None:
        self._encoder, self._size = encoder, size
        self._held: OrderedDict[str, FloatArray] = OrderedDict()
        self._changing, self._encoding = Lock(), Lock()

    def vector(self, text: str) -> FloatArray:
        """float32 unit vector [1, dimension], not to be written to."""
        if (known := self._known(text)) is not None:
            return known
        with self._encoding:
            if (known := self._known(text)) is not None:  # another thread was asked for it too
                return known
            vector = self._encoder.encode_texts([text])
            vector.flags.writeable = False
            with self._changing:
                self._held[text] = vector
                while len(self._held) > self._size:
                    self._held.popitem(last=False)
        return vector

    def _known(self, text: str) -> FloatArray | None:
        with self._changing:
            known = self._held.get(text)
            if known is not None:
                self._held.move_to_end(text)
            return known
