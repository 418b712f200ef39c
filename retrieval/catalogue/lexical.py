"""The words of all items in SQLite's FTS5, ranked by BM25. All that knows FTS5 stands here.

The table `lexical` has one row an item, its rowid the item's key, with the words that `retrieval.lexical.words` makes
of the title and of all other texts. They are folded and segmented already, so FTS5 only parts them at blanks and stems
them. Porter's stemmer leaves all but Latin letters alone; words alone reach an nDCG@10 of .72 on fashion with it, .61
without. Nothing of a user's query but letters and digits ever reaches FTS5's query syntax. What one word or phrase
matches is kept in `Postings` until the collection changes.
"""

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np
from sqlalchemy import Connection, TextClause, text

from retrieval.arrays import FloatArray, IdArray
from retrieval.catalogue import queries
from retrieval.index.base import IdMask
from retrieval.lexical import Phrase, Term, is_beginning, words

K1 = 1.2  # FTS5's own, as is b = 0.75
# A word of the title counts so often, a word of another text once: nDCG@10 of words alone on attribute queries on 8,390
# and 1,754 products is .699 and .939 with 1, .727 and .969 with 4; more gains nothing.
TITLE_WEIGHT = 4.0
# Of a pasted text the first words are counted, up to so many phrases, and the rarest of them are looked for; of words
# that lower a score just so. Counting one phrase takes 60 us in a small collection: 64,000 took 4 s.
MAX_PHRASES = 512
MAX_TERMS = 64
MAX_ALTERNATIVES = 128  # of one term, the first: one synonym of the rules has at most 50
COMMON = 0.5  # share of the items: what more of them hold, and more than COMMON_ROWS, is only looked for alone
COMMON_ROWS = 50_000
REMEMBERED_ROWS = 4_000_000  # of 12 bytes each: 48 MB, the entries' own weight among them
ENTRY_ROWS = 42  # what an entry weighs besides its rows: 500 bytes for a phrase that matches nothing, 220 for a count

_CREATE = text("CREATE VIRTUAL TABLE lexical USING fts5(title, body, tokenize='porter ascii')")
_INSERT = text("INSERT INTO lexical (rowid, title, body) VALUES (:item, :title, :body)")
_DELETE = text("DELETE FROM lexical WHERE rowid = :item")
_COUNT = text("SELECT count(*) FROM lexical WHERE lexical MATCH :phrase")
_MATCHES = text("SELECT rowid, -bm25(lexical, :title_weight, 1.0) FROM lexical WHERE lexical MATCH :phrase")
_ROWS = text("SELECT count(*) FROM lexical_docsize")  # the table itself would read every row's words
_EVERY_TITLE = text("SELECT id, title FROM items ORDER BY id")
_EVERY_TEXT = text("SELECT item, content FROM texts WHERE field != 'title' ORDER BY item, id")


_TOTAL, _COUNTED = "*", "#"  # no words
_MATCH = np.dtype([("key", np.int64), ("score", np.float32)])


@dataclass(frozen=True)
class Matches:
    """keys: int64 [n], keys of items; scores: float32 [n], above 0, of BM25. Best first, equal ones by key.

    ceiling: what no item can score: that of one full of all the words, also of those that no item has.
    """

    keys: IdArray
    scores: FloatArray
    ceiling: float = 0.0


class Postings:
    """What single phrases match at one revision, least recently used forgotten first. Safe to use from many threads."""

    def __init__(self, capacity: int = REMEMBERED_ROWS) -> None:
        self._capacity = capacity
        self._revision = -1
        self._rows = 0
        self._known: OrderedDict[Phrase, Matches | int] = OrderedDict()
        self._lock = Lock()

    def get(self, revision: int, key: Phrase) -> Matches | int | None:
        """What was put under this key at this revision."""
        with self._lock:
            if revision != self._revision or key not in self._known:
                return None
            self._known.move_to_end(key)
            return self._known[key]

    def put(self, revision: int, key: Phrase, found: Matches | int) -> None:
        """Remember it, unless it is of an older revision than the newest seen, or larger than all that is kept."""
        rows = _size(found)
        with self._lock:
            if revision > self._revision:
                self._revision, self._rows = revision, 0
                self._known.clear()
            if revision < self._revision or key in self._known or rows > self._capacity:
                return
            self._known[key] = found
            self._rows += rows
            while self._rows > self._capacity:
                self._rows -= _size(self._known.popitem(last=False)[1])


def _size(found: Matches | int) -> int:
    return ENTRY_ROWS + (0 if isinstance(found, int) else len(found.keys))


def create(connection: Connection) -> None:
    """Make the table; `fill` gives it its rows."""
    connection.execute(_CREATE)


def row(item_key: int, title: str, others: Iterable[str]) -> dict[str, int | str]:
    """What is stored of an item: its title, and all other texts that people may read."""
    body = " ".join(word for other in others for word in words(other))
    return {"item": item_key, "title": " ".join(words(title)), "body": body}


def add(connection: Connection, rows: Sequence[Mapping[str, int | str]]) -> None:
    """Add items, as `row` gives them, that the table does not have."""
    if rows:
        connection.execute(_INSERT, rows)


def remove(connection: Connection, item_keys: Sequence[int]) -> None:
    """Remove items; those that the table does not have are no error."""
    if item_keys:
        connection.execute(_DELETE, [{"item": key} for key in item_keys])


def fill(connection: Connection, batch: int = 10_000) -> None:
    """Add every item of the catalogue to an empty table."""
    others = iter(connection.execute(_EVERY_TEXT))
    pending = next(others, None)
    rows = []
    for key, title in connection.execute(_EVERY_TITLE):
        mine = []
        while pending is not None and pending[0] <= key:
            if pending[0] == key:
                mine.append(pending[1])
            pending = next(others, None)
        rows.append(row(key, title, mine))
        if len(rows) == batch:
            add(connection, rows)
            rows = []
    add(connection, rows)


def lexical_matches(
    connection: Connection,
    terms: Sequence[Term],
    limit: int | None = None,
    allowed: IdMask | None = None,
    postings: Postings | None = None,
) -> Matches:
    """Items that have any of the terms, at most `limit` of those whose key is allowed, best first.

    A term's score is BM25's (Robertson and Zaragoza 2009, k1 1.2, b 0.75) with the idf that is never below 0,
    log(1 + (N - n + .5) / (n + .5)), times its weight. Of very many terms those are looked for that MAX_PHRASES,
    MAX_TERMS and MAX_ALTERNATIVES leave. A term's alternatives count as one word: n counts items that have
    any of them, and an item has the score of its best one. Words that more than COMMON of the items hold, and more than
    COMMON_ROWS, count only where the query has none that is rarer: they cost the most and say the least.

    postings: what to remember between queries; the connection must be in one transaction then.
    """
    wanted = _first([term for term in terms if term.alternatives and term.weight > 0])
    unwanted = _first([term for term in terms if term.alternatives and term.weight < 0])
    source = _Source(connection, Postings() if postings is None else postings, queries.revision(connection))
    total = source.total()
    found = [_term_scores(source, term, total) for term in _worth_looking_for(source, wanted, total)]
    if not found:
        return Matches(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))
    ceiling = sum(_ceiling(source, term, total) for term in wanted)
    scores = np.zeros(1 + max(int(keys[-1]) for keys, _ in found), dtype=np.float32)  # by key: sums need no sorting
    for keys, by in found:
        scores[keys] += by
    if len(unwanted) > MAX_TERMS:
        unwanted = [term for _, term in _rarest(source, unwanted)[:MAX_TERMS]]
    for term in unwanted:
        keys, by = _term_scores(source, term, total)
        known = keys < len(scores)
        scores[keys[known]] += by[known]
    keys = np.flatnonzero(scores > 0)
    if allowed is not None:
        keys = keys[allowed.permits(keys)]
    return replace(_best(keys, scores[keys], limit), ceiling=ceiling)


def _best(keys: IdArray, scores: FloatArray, limit: int | None) -> Matches:
    """keys ascending."""
    if limit is not None and limit < len(keys):
        least = np.partition(scores, len(scores) - limit)[len(scores) - limit]
        better = np.flatnonzero(scores > least)
        equal = np.flatnonzero(scores == least)[: limit - len(better)]  # titles of one length often score the same
        kept = np.concatenate([better, equal])
        keys, scores = keys[kept], scores[kept]
    order = np.lexsort((keys, -scores))
    return Matches(keys[order], scores[order])


@dataclass(frozen=True)
class _Source:
    """Where phrases are looked up. What is remembered has these keys: a phrase, COUNT and a phrase, TOTAL."""

    connection: Connection
    postings: Postings
    revision: int

    def total(self) -> int:
        """How many rows there are: counting a million takes 4 ms."""
        return self._number((_TOTAL,), _ROWS, {})

    def count(self, phrase: Phrase) -> int:
        """How many rows have it."""
        known = self.postings.get(self.revision, phrase)
        if isinstance(known, Matches):
            return len(known.keys)
        return self._number((_COUNTED, *phrase), _COUNT, {"phrase": _expression(phrase)})

    def matches(self, phrase: Phrase) -> Matches:
        """Keys in ascending order, with FTS5's own scores."""
        known = self.postings.get(self.revision, phrase)
        if isinstance(known, Matches):
            return known
        asked = {"phrase": _expression(phrase), "title_weight": TITLE_WEIGHT}
        rows = np.fromiter(map(tuple, self.connection.execute(_MATCHES, asked)), dtype=_MATCH)
        found = Matches(rows["key"].copy(), rows["score"].copy())
        self.postings.put(self.revision, phrase, found)
        return found

    def _number(self, key: Phrase, statement: TextClause, asked: Mapping[str, str]) -> int:
        known = self.postings.get(self.revision, key)
        if isinstance(known, int):
            return known
        found = int(self.connection.execute(statement, asked).scalar_one())
        self.postings.put(self.revision, key, found)
        return found


def _worth_looking_for(source: _Source, terms: Sequence[Term], total: int) -> list[Term]:
    """Terms that find anything, rarest first; without the most common, unless there are no others."""
    found = _rarest(source, terms)
    rare = [term for count, term in found if count <= max(COMMON * total, COMMON_ROWS)]
    return (rare or [term for _, term in found])[:MAX_TERMS]


def _rarest(source: _Source, terms: Sequence[Term]) -> list[tuple[int, Term]]:
    """Terms that find anything, rarest first, each with how many items its most common alternative finds."""
    counted = [(max(map(source.count, term.alternatives)), term) for term in terms]
    return sorted((pair for pair in counted if pair[0]), key=lambda pair: pair[0])


def _first(terms: Sequence[Term]) -> list[Term]:
    """The first terms that have no more than MAX_PHRASES phrases between them, and of each its first alternatives."""
    kept: list[Term] = []
    phrases: set[Phrase] = set()
    for term in terms:
        alternatives = term.alternatives[:MAX_ALTERNATIVES]
        phrases.update(alternatives)
        if len(phrases) > MAX_PHRASES:
            break
        kept.append(Term(alternatives, term.weight))
    return kept


def _term_scores(source: _Source, term: Term, total: int) -> tuple[IdArray, FloatArray]:
    """keys ascending, each once."""
    found = [source.matches(phrase) for phrase in term.alternatives]
    known = [one.scores / np.float32(_fts5_idf(len(one.keys), total)) for one in found]
    keys, best = found[0].keys, known[0]
    if len(found) > 1:
        last = max((int(one.keys[-1]) for one in found if len(one.keys)), default=0)
        best_of = np.zeros(last + 1, dtype=np.float32)  # by key
        for one, scores in zip(found, known, strict=True):
            best_of[one.keys] = np.maximum(best_of[one.keys], scores)
        keys = np.flatnonzero(best_of)
        best = best_of[keys]
    return keys, best * np.float32(term.weight * _idf(len(keys), total))


def _ceiling(source: _Source, term: Term, total: int) -> float:
    """Of a term's score: BM25's frequency part stays below k1 + 1."""
    count = min(total, sum(map(source.count, term.alternatives)))
    return term.weight * _idf(count, total) * (K1 + 1)


def _idf(n: int, total: int) -> float:
    return math.log1p((total - n + 0.5) / (n + 0.5))


def _fts5_idf(n: int, total: int) -> float:
    """What FTS5's bm25 multiplies by: almost 0 for a word that half of the rows have, as in many a small shop."""
    idf = math.log((total - n + 0.5) / (n + 0.5))
    return idf if idf > 0 else 1e-6


def _expression(phrase: Phrase) -> str:
    """FTS5's syntax for a phrase: words in quotes are only words, whatever they spell."""
    quoted = '"' + " ".join(phrase).replace('"', " ") + '"'
    return f"{quoted} *" if is_beginning(phrase[-1]) else quoted
