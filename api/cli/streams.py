"""Standard output whose errors say what was lost: a full disk behind `>` shows at any write, also the last."""

import io
import sys
from typing import TYPE_CHECKING

from retrieval.errors import StorageError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Results(io.FileIO):
    """Drops what follows the first failure: the interpreter flushes once more when it ends."""

    _failed = False

    def write(self, data: "ReadableBuffer", /) -> int:
        if self._failed:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            self._failed = True
            raise _unwritten(error.strerror or str(error)) from error


def guard_stdout() -> None:
    """Make every failing write to `sys.stdout` a StorageError; raise one at once when it is closed."""
    stdout = sys.stdout
    if stdout is None:
        raise _unwritten("standard output is closed")
    if stdout is sys.__stdout__ and isinstance(stdout, io.TextIOWrapper):
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_Results(stdout.fileno(), "w", closefd=False)),
            encoding=stdout.encoding,
            errors="backslashreplace",  # a title the terminal's encoding lacks must not end the program
            line_buffering=stdout.line_buffering,
        )


def _unwritten(reason: str) -> StorageError:
    return StorageError(
        f"cannot write the results: {reason}", hint="send them to a place that can take them, such as another disk"
    )
