"""Words as search compares them: one segmentation for stored rows and for queries alike.

Folded: case, compatibility forms, diacritics (`Fåtölj` is `fatolj`), possessives, a few irregular plurals; what is left
to the stemmer is regular English. Scripts that write no blanks (Chinese, Japanese, Thai …) become overlapping pairs of
characters, as Lucene's CJKBigramFilter does: most Chinese words have two, and SQLite's trigrams need three.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

Phrase = tuple[str, ...]
"""Words that follow each other. A single character of a script without blanks is the beginning of a word."""

MAX_WORD = 64  # characters: no word of any language is longer, and what is longer is a pasted key

UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # signs that stand for a Chinese character
    (0x3040, 0x30FF),  # hiragana, katakana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3),  # Hangul: written with blanks, but particles stick to the nouns
    (0xF900, 0xFAFF),
    (0x20000, 0x323AF),
)
"""Code points, first and last, of scripts that write no blanks between words."""
_ASCII_WORDS = re.compile(r"[a-z0-9]+(?:[-'][a-z0-9]+)*").finditer
_STRIPPED = re.compile("[\u0300-\u036f\u0591-\u05c7\u0640\u064b-\u065f\u0670]").sub  # Latin, Hebrew, Arabic marks
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "’": "'"})
_IRREGULAR = {
    "men": "man",
    "women": "woman",
    "children": "child",
    "feet": "foot",
    "knives": "knife",
    "shelves": "shelf",
    "scarves": "scarf",
    "leaves": "leaf",
}
_SAID_OF_ALL = "a an and are as at be by for from in into is it its of on or that the their these this those to with"
STOP_WORDS = frozenset(_SAID_OF_ALL.split())
"""English words that say nothing of a thing. Left out of a query that has others; rows keep them, for phrases."""


@dataclass(frozen=True)
class Term:
    """One thing looked for: any of its alternatives (a word and its synonyms, say), which count as one word.

    alternatives: each as `phrase` makes it; empty ones are left out. weight: what its score is multiplied by; below 0
    it lowers items that other terms find, and finds none.
    """

    alternatives: tuple[Phrase, ...]
    weight: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "alternatives", tuple(filter(None, self.alternatives)))


def words(text: str) -> list[str]:
    """The words of a stored text, in order. Any str is allowed; NUL and unpaired surrogates part words.

    A run of a script without blanks gives its pairs and its last character, so that every character begins a word;
    marks stay with the character below them.
    `t-shirt` gives t, shirt and tshirt.
    """
    found: list[str] = []
    for kind, parts in _pieces(text):
        if kind == "unspaced":
            clusters = _clusters(parts[0])
            found.extend(_pairs(clusters))
            found.append(clusters[-1])
        else:
            found.extend(parts)
            if len(parts) > 1:
                found.append("".join(parts)[:MAX_WORD])
    return found


def phrase(text: str) -> Phrase:
    """A text as words that must follow each other; empty when it has none."""
    pieces = list(_pieces(text))
    found = words(text)
    if pieces and pieces[-1][0] == "unspaced" and len(_clusters(pieces[-1][1][0])) > 1:
        found.pop()  # the run may go on in the row
    return tuple(found)


def terms(text: str, weight: float = 1.0) -> tuple[Term, ...]:
    """What a query looks for, each once, in order. Empty when the text has no letter and no digit."""
    found: dict[tuple[Phrase, ...], None] = {}
    for kind, parts in _pieces(text):
        if kind == "unspaced":
            pairs = _pairs(_clusters(parts[0])) or parts
            found.update(dict.fromkeys(((pair,),) for pair in pairs))
        elif len(parts) > 1:
            found[(parts, ("".join(parts)[:MAX_WORD],))] = None
        else:
            found[(parts,)] = None
    telling = [alternatives for alternatives in found if alternatives[0][0] not in STOP_WORDS or len(alternatives) > 1]
    return tuple(Term(alternatives, weight) for alternatives in telling or found)


def is_beginning(word: str) -> bool:
    """Is this word of a query any word that begins so? A lone character of a script without blanks."""
    return bool(word) and _kind(word[0]) == "unspaced" and len(_clusters(word)) == 1


def _pieces(text: str) -> Iterator[tuple[Literal["word", "unspaced"], Phrase]]:
    """Words, each as the parts that its hyphens join, and runs of a script without blanks."""
    folded = _folded(text)
    if folded.isascii():
        for match in _ASCII_WORDS(folded):
            yield from _word(match.group())
        return
    start = 0
    before = ""
    for end, character in enumerate(folded):
        kind = _kind(character)
        if kind != before:
            yield from _piece(before, folded[start:end])
            start, before = end, kind
    yield from _piece(before, folded[start:])


def _piece(kind: str, run: str) -> Iterator[tuple[Literal["word", "unspaced"], Phrase]]:
    if kind == "unspaced":
        yield "unspaced", (run,)
    elif kind == "word":
        yield from _word(run.strip("-'"))


def _word(run: str) -> Iterator[tuple[Literal["word"], Phrase]]:
    """`men's` is man; any other apostrophe parts words (l'eau); hyphens join the parts of one."""
    for joined in run.removesuffix("'s").replace("'s-", "-").split("'"):
        parts = tuple(_IRREGULAR.get(part, part)[:MAX_WORD] for part in joined.split("-") if part)
        if parts:
            yield "word", parts


def _pairs(clusters: Sequence[str]) -> list[str]:
    return [first + second for first, second in pairwise(clusters)]


def _clusters(run: str) -> list[str]:
    """Characters with the marks on them: a Thai vowel above a consonant says nothing alone."""
    found: list[str] = []
    for character in run:
        if found and unicodedata.category(character)[0] == "M":
            found[-1] += character
        else:
            found.append(character)
    return found


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    return unicodedata.normalize("NFC", _STRIPPED("", decomposed)).casefold()


@lru_cache(maxsize=20_000)
def _kind(character: str) -> str:
    """Letters, digits and their marks are `word` or `unspaced`; hyphens and apostrophes go with words; else empty."""
    if character in "-'":
        return "word"
    if unicodedata.category(character)[0] not in "LNM":
        return ""
    point = ord(character)
    return "unspaced" if any(first <= point <= last for first, last in UNSPACED) else "word"
