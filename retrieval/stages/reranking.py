"""Reranking as a step of a search: a reranker judges the query with each of the best N, and orders them anew.

A candidate's new score is its score so far plus weight * match, the weight being the one chosen on validation for this
direction (`RerankerSpec.weights`) beside a cosine. A hybrid score is no cosine: there the weight is multiplied by the
spread of the fused scores over the spread of the cosines of these N (`reordering.scale`), so that a match moves a
candidate about as many places as it would there.

Those that were scored share the places that they had; those that were not, for lack of time or of tokens, stay where
they are. So does a text without any token, as one in a language that the tower does not know: the 0 that a reranker
gives it is no match, since logits that learned to order candidates of one query are of any height beside it.

What is reordered is always the first N of the ranking, so pages of one query are parts of one order; with a deadline
only as far as each page's search got equally far.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np

from retrieval.arrays import FloatArray, IdArray
from retrieval.catalogue.queries import Modality
from retrieval.collection import Collection
from retrieval.errors import CollectionChanged
from retrieval.index.base import NO_ID
from retrieval.query import Query
from retrieval.query.encode import QueryVectors
from retrieval.query.reranker import QueryReranker
from retrieval.rerankers.base import Direction, RerankerSpec
from retrieval.stages.candidates import Candidates, Ranking
from retrieval.stages.hits import Moved
from retrieval.stages.reordering import direction_of, is_certain, reordered, scale, why_not

BATCH = 8  # candidates between two looks at the clock

_ADDS = "catalens index --add-tokens adds them"
_log = logging.getLogger("catalens")


class Reranking:
    """Of one query on one revision. It never fails a search: what it could not do stands in `notes`.

    skipped: why nothing was scored. moved: of the best N by key, their rank before and their match; empty if skipped.
    clock: seconds from any moment.
    """

    def __init__(
        self,
        collection: Collection,
        vectors: QueryVectors,
        reranker: QueryReranker,
        query: Query,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._collection, self._vectors, self._reranker, self._query = collection, vectors, reranker, query
        self._clock, self._took = clock, 0.0
        self.moved: Moved = {}
        self.notes: tuple[str, ...] = ()
        self.skipped: str | None = None
        if reason := why_not(query):
            self._skip(reason)

    def report(self) -> dict[str, Any]:
        """As JSON values: the depth asked for, how many were scored, milliseconds, and why none were, or None."""
        scored = sum(match is not None for _, match in self.moved.values())
        took = round(self._took * 1000, 3)
        return {"depth": self._query.rerank, "scored": scored, "ms": took, "skipped": self.skipped}

    def over(self, ranking: Ranking) -> Ranking:
        """The ranking with its best N reordered; N is the query's `rerank`."""
        if self.skipped:
            return ranking
        head: Candidates | None = None

        def best(n: int) -> Candidates:
            nonlocal head
            if head is None:
                head = self._judged(ranking(self._query.rerank))
            if n < len(head):
                return replace(head.take(np.arange(n)), complete=False)
            return head if head.complete or n == len(head) else head.followed_by(ranking(n))

        return best

    def _judged(self, head: Candidates) -> Candidates:
        try:
            spec = self._usable()
            matches = self._matches(head, spec)
        except CollectionChanged:  # the search starts anew
            raise
        except _KeptError as kept:
            self._skip(str(kept), told=kept.told)
            return head
        except Exception as error:  # a reranker is other people's code: no search may fail of it
            _log.debug("the reranker failed", exc_info=True)
            self._skip(f"the reranker failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
            return head
        weight = spec.weights[_direction(self._query)] * scale(head)
        made, matches = reordered(head, matches, weight)
        before = {key: rank for rank, key in enumerate(head.keys.tolist(), start=1)}
        self.moved = {
            key: (before[key], None if np.isnan(match) else match)
            for key, match in zip(made.keys.tolist(), matches.tolist(), strict=True)
        }
        return made

    def _usable(self) -> RerankerSpec:
        """Of the reranker, if it reads what the collection keeps. What may be loaded for it counts for no deadline."""
        kept, made = self._collection.token_spec(), self._vectors.token_spec
        if kept is None:
            raise _KeptError(f"the collection keeps no tokens, which a reranker reads; {_ADDS}")
        if made is None:
            raise _KeptError("the encoder gives no tokens on this runtime; try --runtime torch")
        if made.fingerprint != kept.fingerprint:
            raise _KeptError(
                f"the collection keeps tokens {kept.fingerprint}, and its encoder now gives {made.fingerprint}; {_ADDS}"
            )
        spec = self._reranker.spec()
        if isinstance(spec, str):
            raise _KeptError(f"there is no reranker: {spec}")
        if spec.tokens.fingerprint != kept.fingerprint:
            raise _KeptError(
                f"the reranker {spec.name} reads tokens {spec.tokens.fingerprint}, and the collection keeps "
                f"{kept.fingerprint}; train one for it with: catalens train reranker"
            )
        if not spec.weights.get(_direction(self._query)):
            raise _KeptError(f"the reranker {spec.name} did not help such queries on its validation data")
        return spec

    def _matches(self, head: Candidates, spec: RerankerSpec) -> FloatArray:
        """float32 [n], NaN for candidates that were not scored: best first, as many as the deadline allows."""
        direction, limit = _direction(self._query), self._query.rerank_deadline
        if self._query.rerank_when == "uncertain" and is_certain(head, spec.margins.get(direction, np.inf)):
            raise _KeptError("the first hit is far enough before the second", told=False)
        if limit == 0:
            raise _KeptError("a deadline of 0 ms leaves no time for it")
        started = self._clock()
        ends = np.inf if limit is None else started + limit / 1000
        modality: Modality = "image" if direction == "text_to_image" else "text"
        asked = self._vectors.tokens()
        if not asked.lengths[0]:
            raise _KeptError("the encoder gives these words no tokens; it has none for some languages and part numbers")
        owners = self._owners(head, modality)
        places = np.flatnonzero(owners != NO_ID)
        matches = np.full(len(head), np.nan, np.float32)
        step = len(places) if limit is None else BATCH
        done, lacking, judged, batch_took, now = 0, 0, 0, 0.0, self._clock()
        while done < len(places) and now + batch_took < ends:
            batch = places[done : done + step]
            tokens, missing = self._collection.tokens(modality, owners[batch].tolist())
            there = np.flatnonzero(tokens.lengths)
            if len(there):
                found = self._reranker.match(direction, asked, tokens.take(there))
                matches[batch[there]] = np.where(np.isfinite(found), found, np.nan)
            done, lacking, judged = done + len(batch), lacking + len(missing), judged + len(there)
            batch_took, now = self._clock() - now, self._clock()
        self._took = now - started
        kind = "photos" if modality == "image" else "texts"
        if not len(places):
            raise _KeptError(f"none of the hits has {kind}", told=len(head) > 0)
        if not done:
            raise _KeptError(f"a deadline of {limit:g} ms was over before the first was scored")
        if lacking == done:
            raise _KeptError(f"none of the {lacking:,} {kind} has tokens that are whole; {_ADDS}")
        if not judged:
            raise _KeptError(f"none of the {kind} has tokens, as in a language that they are not made for")
        if np.isnan(matches).all():
            raise _KeptError(f"the reranker {spec.name} gave no numbers")
        self._tell_of(len(places), done, lacking, kind)
        return matches

    def _owners(self, head: Candidates, modality: Modality) -> IdArray:
        """The photo or text that each candidate is judged by: the one that won, or else the item's first photo."""
        if modality == "text":
            return head.texts
        photos = head.photos.copy()
        bare = np.flatnonzero(photos == NO_ID)  # found by its text alone
        if len(bare):
            first = self._collection.first_photos(head.keys[bare].tolist())
            photos[bare] = [first.get(key, NO_ID) for key in head.keys[bare].tolist()]
        return photos

    def _tell_of(self, candidates: int, done: int, lacking: int, kind: str) -> None:
        if done < candidates:
            self.notes += (
                f"reranked the best {done:,} of {candidates:,}: {self._query.rerank_deadline:g} ms are too few for all",
            )
        if lacking:
            self.notes += (
                f"{lacking:,} of them kept their places: the {kind} have no tokens, or damaged ones; {_ADDS}",
            )

    def _skip(self, reason: str, *, told: bool = True) -> None:
        self.skipped = reason
        if told:
            self.notes += (f"not reranked: {reason}",)


class _KeptError(Exception):
    """Why the order is kept. told: whether a person wants to know."""

    def __init__(self, reason: str, *, told: bool = True) -> None:
        super().__init__(reason)
        self.told = told


def _direction(query: Query) -> Direction:
    direction = direction_of(query)
    if direction is None:
        raise ValueError("a reranker is not made for this query")
    return direction
