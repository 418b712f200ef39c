"""All items of a collection at one revision, as arrays: `table`, made of typed `columns`, which `builder` reads."""

from retrieval.items.table import NO_ITEM, ItemTable

__all__ = ["NO_ITEM", "ItemTable"]
