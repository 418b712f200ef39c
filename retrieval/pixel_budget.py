"""How many pixels may be in memory at once while pictures are unpacked, over all threads."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class PixelBudget:
    """Lets threads work on pictures that have no more than `most` pixels together; one of more goes alone.

    Thread-safe. A thread must not ask again while it works.
    """

    def __init__(self, most: int) -> None:
        self._most = self._left = most
        self._changed = Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Waits until there is room for so many, and keeps it until the block ends."""
        share = min(pixels, self._most)
        with self._changed:
            self._changed.wait_for(lambda: self._left >= share)
            self._left -= share
        try:
            yield
        finally:
            with self._changed:
                self._left += share
                self._changed.notify_all()
