"""Room for what takes much memory for a moment: many threads share it, and wait while it is taken."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class Room:
    """So much of something that threads may hold at once."""

    def __init__(self, size: int) -> None:
        self.size = self.free = size
        self._changed = Condition()

    @contextmanager
    def held(self, amount: int) -> Iterator[None]:
        """Hold so much of it, and wait before until it is there. What is larger than all of it goes alone."""
        amount = min(amount, self.size)
        with self._changed:
            self._changed.wait_for(lambda: self.free >= amount)
            self.free -= amount
        try:
            yield
        finally:
            with self._changed:
                self.free += amount
                self._changed.notify_all()
