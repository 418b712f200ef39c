"""One query's whole way: check -> encode -> scope -> legs -> boosts -> reranking -> selection -> hits."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any

from retrieval.catalogue.versions import mismatch
from retrieval.collection import Collection
from retrieval.encoders import load_encoder
from retrieval.encoders.base import DualEncoder
from retrieval.filters.facets import Facet, facets
from retrieval.query import ImageQuery, Query
from retrieval.query.cache import QueryCache
from retrieval.query.encode import QueryEncoder, QueryVectors
from retrieval.query.json_form import shown
from retrieval.query.reranker import QueryReranker, require_readable
from retrieval.records import Hit
from retrieval.rerankers import load_reranker
from retrieval.rerankers.base import Reranker
from retrieval.rules.ruleset import RuleSet
from retrieval.stages.asked import Asked
from retrieval.stages.hits import hits_of
from retrieval.stages.pages import page
from retrieval.stages.reordering import direction_of
from retrieval.stages.reranking import Reranking
from retrieval.stages.scope import Fields, Scope, Scopes
from retrieval.stages.told import Told


@dataclass(frozen=True)
class Answer:
    """The hits of a query, best first, and what is to be known of them.

    query: what was asked, as JSON values. matched: items that pass the filter, are not hidden by a rule nor named by
    the query, and have what it was compared with: a photo, a text, any of the words. There are min(k, matched) hits,
    fewer only where a least confidence, a group or near-duplicates say so.
    exact: whether these are certainly the best; plan: how they were searched, see `retrieval/index/plan.py`.
    nothing_fits: whether even the best hit is no better than what nonsense finds; None where that is not known.
    facets: counts over all that matched. reranked: where reranking was asked for, its depth, how many were scored, the
    milliseconds it took, and why it was skipped, None if it was not. notes: what a person would want to be told.
    revision: of the collection. took_ms: all of it, also what had to be loaded first.
    """

    query: dict[str, Any]
    hits: tuple[Hit, ...]
    matched: int
    exact: bool
    plan: str
    nothing_fits: bool | None
    facets: tuple[Facet, ...]
    notes: tuple[str, ...]
    revision: int
    took_ms: float
    reranked: dict[str, Any] | None = None


class Searcher:
    """Answers queries on one collection. Safe to use from many threads.

    encoding: what makes vectors of queries. reranker: what judges their best hits.
    """

    def __init__(
        self,
        collection: Collection,
        encoder: DualEncoder,
        reranker: Reranker | None = None,
        *,
        runtime: str | None = None,
    ) -> None:
        """Raises FingerprintMismatch when the encoder did not make the collection's vectors.

        Likewise when a reranker is given that reads other tokens than the encoder's; EncoderError when it gives none.
        reranker: for queries that ask for one; None for the one built in for the encoder, if there is one, loaded at
        the first such query to run on `runtime`, see `load_reranker`.
        """
        if encoder.spec.fingerprint != collection.encoder.fingerprint:
            raise mismatch(collection.folder, collection.encoder, encoder.spec)
        if reranker is not None:
            require_readable(reranker.spec, encoder)
        self.collection = collection
        self.encoder = encoder
        self.encoding = QueryEncoder(collection, encoder)
        self.reranker = QueryReranker(reranker, encoder.spec, runtime)
        self._scopes = Scopes()

    @classmethod
    def open(
        cls,
        folder: Path,
        encoder: DualEncoder | None = None,
        *,
        runtime: str | None = None,
        reranker: str | None = None,
    ) -> "Searcher":
        """Open a collection folder with the encoder that it names, or with the one given.

        runtime: what the encoder that it names and the reranker run on, see `load_encoder`. reranker: `starter` or a
        folder, raises as `load_reranker`; None for the one built in for the encoder, if a query asks for one.
        """
        collection = Collection.open(folder)
        try:
            chosen = None if reranker is None else load_reranker(reranker, runtime=runtime)
            encoder = encoder or load_encoder(collection.encoder.name, runtime=runtime)
            return cls(collection, encoder, chosen, runtime=runtime)
        except BaseException:
            collection.close()
            raise

    def __enter__(self) -> "Searcher":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.collection.close()

    def search(self, words: str | None = None, *, image: ImageQuery | None = None, **others: Any) -> Answer:
        """The best items for words, a picture, or both with equal weight. others: fields of `Query`, such as k and by.

        Raises what `Query` and `answer` raise.
        """
        return self.answer(Query.of(words, image=image, **others))

    def answer(self, query: Query, *, rules: RuleSet | None = None) -> Answer:
        """The hits of a query. An item counts once, with its best photo or text.

        rules: in place of those of the collection, to see what they would change.
        Raises ImageError for a picture that cannot be read; FilterError for a filter, facet or sorting that does not
        fit the fields; QueryError for an unknown item, parts that cancel, and a confidence that is not there;
        CollectionNotFound, CollectionDamaged, RulesError and FingerprintMismatch as `Collection.view` does;
        CollectionChanged when a writer was ahead each of five times.
        """
        started = perf_counter()
        fields, vectors = Fields.of(query), self.vectors(query)
        return self.collection.at_one_revision(lambda: self._answer(query, fields, vectors, rules, started))

    def _answer(
        self, query: Query, fields: Fields, vectors: QueryVectors, rules: RuleSet | None, started: float
    ) -> Answer:
        asked = self.ask(query, fields, rules, vectors=vectors)
        chosen, pinned = page(asked)
        told = Told(asked)
        touched_by = partial(told.touched, chosen, pinned)
        hits = hits_of(asked.reader, chosen, asked.confidences(chosen), query.offset + 1, touched_by, told.moved)
        return Answer(
            query=shown(query),
            hits=hits,
            matched=told.matched(),
            exact=asked.trace.exact,
            plan=asked.trace.plan,
            nothing_fits=told.nothing_fits(),
            facets=tuple(facets(asked.table, told.counted, fields.facets)) if fields.facets else (),
            notes=told.notes(),
            revision=asked.scope.view.revision,
            took_ms=(perf_counter() - started) * 1000,
            reranked=asked.reranking.report() if asked.reranking else None,
        )

    @property
    def query_cache(self) -> QueryCache:
        """The vectors of the last texts that were asked for."""
        return self.encoding.texts

    def vectors(self, query: Query) -> QueryVectors:
        """The query as vectors; nothing is encoded before it is asked for."""
        return QueryVectors(self.encoding, query, with_tokens=self._reads_tokens(query))

    def _reads_tokens(self, query: Query) -> bool:
        """Will a reranker ask for the query's tokens? False too where that cannot be said; reranking then says why."""
        if not query.rerank or query.rerank_deadline == 0 or direction_of(query) is None:
            return False
        try:
            spec = self.encoding.token_spec
        except Exception:  # a damaged file of the encoder's that plain search does not read
            return False
        return spec is not None and self.collection.token_spec() == spec

    def ask(
        self,
        query: Query,
        fields: Fields,
        rules: RuleSet | None = None,
        *,
        vectors: QueryVectors | None = None,
        with_items: bool = False,
    ) -> Asked:
        """The query with all that it needs of the collection's newest revision; with_items: with the items anyway."""
        vectors = vectors or self.vectors(query)
        words = " ".join(words for words, weight in query.words if weight > 0) or None
        view, table = self.collection.view(), None
        reranking = Reranking(self.collection, vectors, self.reranker, query) if query.rerank else None
        while True:
            ruleset = view.rules if rules is None else rules
            active = ruleset.for_query(words)
            if table is not None:
                scope = self._scopes.of(view, table, fields.filter, active)
                return Asked(self.collection, vectors, query, ruleset, active, scope, fields, reranking=reranking)
            if not with_items and not fields.needed(active, query):
                return Asked(self.collection, vectors, query, ruleset, active, Scope(view), reranking=reranking)
            # Once more, now with the items: the collection may have moved on meanwhile, and its rules with it.
            view, table = self.collection.view_with_items((*fields.names, *(ruleset.fields if active else ())))
