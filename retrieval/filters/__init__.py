"""Filters, facets and sorting over the fields of items.

asked = parse('price < 50 and not colour = "Black"')
view, table = collection.view_with_items(asked.fields)
allowed = matching(asked, table)                        # bool by item position
mask = table.mask("image", allowed)                     # what vector search takes
facets(table, allowed, ["category", "price:0,25,50"])
order(table, "-price", np.flatnonzero(allowed))         # item positions
"""

from retrieval.filters.check import check
from retrieval.filters.evaluation import matching
from retrieval.filters.facet_request import FacetRequest
from retrieval.filters.facets import Facet, FacetRange, FacetValue, facets
from retrieval.filters.filter import Filter
from retrieval.filters.notes import notes
from retrieval.filters.sorting import SortKey, order, parse_sort

parse = Filter.parse

__all__ = [
    "Facet",
    "FacetRange",
    "FacetRequest",
    "FacetValue",
    "Filter",
    "SortKey",
    "check",
    "facets",
    "matching",
    "notes",
    "order",
    "parse",
    "parse_sort",
]
