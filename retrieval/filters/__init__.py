"""Filters over the fields of items: `price < 50 and category in ("Shoes", "Bags")`.

asked = parse('price < 50 and not colour = "Black"')
view, table = collection.view_with_items(asked.fields)
allowed = matching(asked, table)          # bool by item position
mask = table.mask("image", allowed)       # what vector search takes
"""

from retrieval.filters.check import check
from retrieval.filters.evaluation import matching
from retrieval.filters.filter import Filter

parse = Filter.parse

__all__ = ["Filter", "check", "matching", "parse"]
