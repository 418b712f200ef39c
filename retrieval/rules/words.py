"""Queries as words: what makes two of them equal, and where in one the words of another stand."""

import re
import unicodedata
from dataclasses import dataclass

from retrieval.lexical import UNSPACED

_UNSPACED = "".join(f"{chr(first)}-{chr(last)}" for first, last in UNSPACED)
_MARK = "\u0300-\u036f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u3099\u309a"  # belongs to the letter before it
# One character of those, or a run of other letters, marks and digits, or a sign that is no punctuation.
_TOKEN = re.compile(rf"[{_UNSPACED}][{_MARK}]*|(?:(?![{_UNSPACED}])\w[{_MARK}]*)+|[+#%&@$€£¥°]")


@dataclass(frozen=True)
class Words:
    """A query's words. text: in NFKC; keys: the words to compare; spans: where each stands in `text`."""

    text: str
    keys: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, text: str) -> "Words":
        """Words of any text. Case, width, punctuation and blanks make no difference to `keys`."""
        normal = unicodedata.normalize("NFKC", text)
        found = list(_TOKEN.finditer(normal))
        return cls(normal, tuple(_key(one[0]) for one in found), tuple(one.span() for one in found))


def keys(text: str) -> tuple[str, ...]:
    """The words of a text as they are compared; empty for a text without a letter, digit or sign."""
    return Words.of(text).keys


def _key(token: str) -> str:
    return unicodedata.normalize("NFKC", token.casefold())


@dataclass(frozen=True)
class QueryMatch:
    """Which queries a rule is for, as `keys`. equal: any of these; contained: or such as have any of these in a row."""

    equal: frozenset[tuple[str, ...]] = frozenset()
    contained: tuple[tuple[str, ...], ...] = ()
