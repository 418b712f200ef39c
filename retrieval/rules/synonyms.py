"""The other ways to say a query: its terms replaced by their synonyms, as whole queries and term by term."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from retrieval.rules.model import Phrase, Synonym
from retrieval.rules.words import Words, keys

MAX_REWRITES = 8  # the query as it is among them: each costs an encoding and a search of its own
MAX_TERM_TEXTS = 20  # other texts for one term


@dataclass(frozen=True)
class Rewrite:
    """A query to search with. weight: its share in the whole; those of a query add up to 1. by: which rules made it."""

    words: str
    weight: float
    by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Term:
    """A part of a query that has synonyms. words: as asked; texts: what stands for it besides; by: the rules."""

    words: str
    texts: tuple[str, ...]
    by: tuple[str, ...]


@dataclass(frozen=True)
class _Found:
    start: int
    end: int
    texts: tuple[tuple[str, str], ...]  # (text, path of its rule)


class Synonyms:
    """All synonyms of a rules file, to be looked up by the words of a query."""

    def __init__(self, synonyms: Sequence[Synonym]) -> None:
        self._texts: dict[Phrase, dict[Phrase, tuple[str, str]]] = {}
        for one in synonyms:
            for term in one.terms:
                known = self._texts.setdefault(term, {})
                for text in one.texts:
                    known.setdefault(keys(text), (text, one.path))
        self._longest = max(map(len, self._texts), default=0)

    def rewrites(self, query: str) -> tuple[Rewrite, ...]:
        """The query and its rewrites, at most 8: first those with one term replaced, then with two, and so on.

        All count the same, since each of the texts is as good a way to say it. The query as it was asked comes first.
        """
        words = Words.of(query)
        made: dict[Phrase, tuple[str, tuple[str, ...]]] = {words.keys: (query, ())}
        for text, by in _replaced(words, self._found(words)):
            made.setdefault(keys(text), (text, by))
            if len(made) == MAX_REWRITES:
                break
        return tuple(Rewrite(text, 1 / len(made), by) for text, by in made.values())

    def terms(self, query: str) -> tuple[Term, ...]:
        """The query's terms that have synonyms, from left to right, with up to 20 texts each."""
        words = Words.of(query)
        return tuple(
            Term(
                words.text[one.start : one.end],
                tuple(text for text, _ in one.texts),
                tuple(dict.fromkeys(path for _, path in one.texts)),
            )
            for one in self._found(words)
        )

    def _found(self, words: Words) -> list[_Found]:
        """From left to right the longest terms; they do not overlap, and what replaces one is not looked up again."""
        found = []
        start = 0
        while start < len(words.keys):
            for width in range(min(self._longest, len(words.keys) - start), 0, -1):
                texts = self._texts.get(words.keys[start : start + width])
                if texts is not None:
                    span = words.spans[start][0], words.spans[start + width - 1][1]
                    found.append(_Found(*span, tuple(texts.values())[:MAX_TERM_TEXTS]))
                    start += width
                    break
            else:
                start += 1
        return found


def _replaced(words: Words, found: Sequence[_Found]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for count in range(1, len(found) + 1):
        for places in combinations(found, count):
            for chosen in product(*(one.texts for one in places)):
                text = words.text
                for place, (replacement, _) in reversed(list(zip(places, chosen, strict=True))):
                    text = text[: place.start] + replacement + text[place.end :]
                yield text, tuple(dict.fromkeys(path for _, path in chosen))
