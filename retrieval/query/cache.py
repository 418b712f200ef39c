"""What was made of the texts that were asked for lately: a query that comes again costs no encoding."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

from retrieval.encoders.base import DualEncoder, FloatArray

SIZE = 1_024  # queries; at 512 numbers each, 2 MB

T = TypeVar("T")


class Remembered(Generic[T]):
    """What `make` gives for the last texts, the longest unused dropped first. Thread-safe.

    It belongs to one encoder, so a text is all that a value hangs on. One thread encodes at a time, since towers take
    no more than one; known texts do not wait for it.
    encoding: held while something is made; for what is made by the same towers, the same lock.
    """

    def __init__(self, make: Callable[[str], T], size: int, encoding: "Lock | None" = None) -> None:
        self._make, self._size = make, size
        self._held: OrderedDict[str, T] = OrderedDict()
        self._changing, self.encoding = Lock(), encoding or Lock()

    def of(self, text: str) -> T:
        """The value for a text; not to be changed."""
        if (known := self._known(text)) is not None:
            return known
        with self.encoding:
            if (known := self._known(text)) is not None:  # another thread was asked for it too
                return known
            made = self._make(text)
            with self._changing:
                self._held[text] = made
                while len(self._held) > self._size:
                    self._held.popitem(last=False)
        return made

    def _known(self, text: str) -> T | None:
        with self._changing:
            known = self._held.get(text)
            if known is not None:
                self._held.move_to_end(text)
            return known


class QueryCache:
    """The last texts of one encoder with their vectors."""

    def __init__(self, encoder: DualEncoder, size: int = SIZE) -> None:
        self._encoder = encoder
        self._vectors = Remembered(self._encoded, size)

    @property
    def encoding(self) -> Lock:
        """Held while the text tower works."""
        return self._vectors.encoding

    def vector(self, text: str) -> FloatArray:
        """float32 unit vector [1, dimension], not to be written to."""
        return self._vectors.of(text)

    def _encoded(self, text: str) -> FloatArray:
        vector = self._encoder.encode_texts([text])
        vector.flags.writeable = False
        return vector
