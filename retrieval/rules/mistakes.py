"""Mistakes in a rules file: each has its line and place, and one error names them all."""

from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.errors import RulesError

MAX_SHOWN = 20


@dataclass(frozen=True)
class Mistake:
    """line: in the file, from 1; path: such as `boosts[2].when`, empty for the file as a whole."""

    line: int
    path: str
    message: str

    def __str__(self) -> str:
        return f"line {self.line}{f', {self.path}' if self.path else ''}: {self.message}"


class Mistaken(Exception):
    """One mistake, on its way to `as_error`."""

    def __init__(self, mistake: Mistake) -> None:
        super().__init__(str(mistake))
        self.mistake = mistake


def as_error(name: str, mistakes: Sequence[Mistake]) -> RulesError:
    """One error that names up to 20 mistakes in the order of their lines. name: the file, for the message."""
    found = sorted(mistakes, key=lambda one: one.line)
    if len(found) == 1:
        return RulesError(f"{name}, {found[0]}", hint="mend that line; nothing was changed")
    lines = "".join(f"\n  {one}" for one in found[:MAX_SHOWN])
    more = f"\n  and {len(found) - MAX_SHOWN:,} more" if len(found) > MAX_SHOWN else ""
    return RulesError(f"{name} has {len(found):,} mistakes:{lines}{more}", hint="mend these lines; nothing was changed")
