"""Which fields a collection's items have: what filters, facets and orders may name."""

from retrieval.items.columns import Kind
from retrieval.query import Query
from retrieval.search import Searcher
from retrieval.stages.scope import Fields


def fields_of(searcher: Searcher) -> dict[str, Kind]:
    """All fields that any item has, with their types, by name; none for an empty collection.

    All attributes are looked at the first time after a change. Raises CollectionChanged when a writer was ahead each
    of five times.
    """
    query = Query(sort=("item_id",))

    def read() -> dict[str, Kind]:
        table = searcher.ask(query, Fields.of(query), with_items=True).table
        return table.fields() if len(table) else {}

    return searcher.collection.at_one_revision(read)
