"""Facets of a collection without a search: what a page offers before anything is asked."""

from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.filters import Facet, FacetRequest, Filter, facets
from retrieval.query import Query
from retrieval.search import Searcher
from retrieval.stages.scope import Fields


@dataclass(frozen=True)
class Counted:
    """facets: in the order asked for, over the `matched` items that pass the filter and no rule hides."""

    facets: tuple[Facet, ...]
    matched: int
    revision: int


def counted(searcher: Searcher, requests: Sequence[str], filter: str | None = None) -> Counted:
    """The facets of all items that pass a filter. requests: as `Query.facets`, at most 32.

    Raises FilterError and QueryError for what cannot be read or does not fit the fields; CollectionChanged when a
    writer was ahead each of five times.
    """
    query = Query(facets=tuple(requests), filter=filter, sort=("item_id",))  # in any order; nothing is listed
    asked, wanted = Filter.parse(filter) if filter is not None else None, tuple(map(FacetRequest.parse, requests))
    names = dict.fromkeys([*(asked.fields if asked else ()), *(each.field for each in wanted)])
    fields = Fields(asked, wanted, tuple(names))

    def read() -> Counted:
        found = searcher.ask(query, fields, with_items=True)
        counts = tuple(facets(found.table, found.matching, wanted))
        return Counted(counts, int(found.matching.sum()), found.scope.view.revision)

    return searcher.collection.at_one_revision(read)
