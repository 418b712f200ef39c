"""What was made of the texts that were asked for lately: a query that comes again costs no encoding."""

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from threading import Lock
from typing import Generic, TypeVar

from retrieval.arrays import FloatArray
from retrieval.encoders.base import DualEncoder, takes_many_threads

SIZE = 1_024  # queries; at 512 numbers each, 2 MB

T = TypeVar("T")
Guard = AbstractContextManager[object]
"""What is held while something is encoded."""


def guard_of(encoder: DualEncoder) -> Guard:
    """A lock, since towers take one thread at a time; nothing for an encoder that takes many."""
    return nullcontext() if takes_many_threads(encoder) else Lock()


class Remembered(Generic[T]):
    """What `make` gives for the last texts, the longest unused dropped first. Thread-safe.

    It belongs to one encoder, so a text is all that a value hangs on. A text that several threads ask for is made once;
    known texts wait for nothing.
    encoding: held while something is made; for what is made by the same towers, the same.
    hits, misses: how often a text was known, or being made, and how often it was made.
    """

    def __init__(self, make: Callable[[str], T], size: int, encoding: Guard) -> None:
        self._make, self._size = make, size
        self._held: OrderedDict[str, T] = OrderedDict()
        self._being_made: dict[str, Future[T]] = {}
        self._changing, self.encoding = Lock(), encoding
        self.hits = self.misses = 0

    def of(self, text: str) -> T:
        """The value for a text; not to be changed. Raises what `make` raises, in all threads that wait for it."""
        with self._changing:
            if text in self._held:
                self.hits += 1
                self._held.move_to_end(text)
                return self._held[text]
            making = self._being_made.get(text)
            if making is None:
                self.misses += 1
                mine = self._being_made[text] = Future()
            else:
                self.hits += 1
        return self._made(text, mine) if making is None else making.result()

    def _made(self, text: str, mine: "Future[T]") -> T:
        try:
            with self.encoding:
                made = self._make(text)
        except BaseException as error:
            with self._changing:
                del self._being_made[text]
            mine.set_exception(error)
            raise
        with self._changing:
            del self._being_made[text]
            self._held[text] = made
            while len(self._held) > self._size:
                self._held.popitem(last=False)
        mine.set_result(made)
        return made


class QueryCache:
    """The last texts of one encoder with their vectors."""

    def __init__(self, encoder: DualEncoder, size: int = SIZE) -> None:
        self._encoder = encoder
        self._vectors = Remembered(self._encoded, size, guard_of(encoder))

    @property
    def encoding(self) -> Guard:
        """Held while the text tower works."""
        return self._vectors.encoding

    @property
    def hits(self) -> int:
        """How often a text was known."""
        return self._vectors.hits

    @property
    def misses(self) -> int:
        """How often a text was encoded."""
        return self._vectors.misses

    def vector(self, text: str) -> FloatArray:
        """float32 unit vector [1, dimension], not to be written to."""
        return self._vectors.of(text)

    def _encoded(self, text: str) -> FloatArray:
        vector = self._encoder.encode_texts([text])
        vector.flags.writeable = False
        return vector
