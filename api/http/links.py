"""Addresses of what an answer names: nothing that leaves the server has a path of its disk."""

from urllib.parse import quote


def item_url(collection: str, item_id: str) -> str:
    """The path of an item; its id may hold slashes, and anything else."""
    return f"/v1/collections/{quote(collection, safe='')}/items/{quote(item_id, safe='')}"


def photo_url(collection: str, item_id: str, photo_id: int | None = None) -> str:
    """The path of one of an item's photos, by its id, or of the first."""
    return f"{item_url(collection, item_id)}/photo" + ("" if photo_id is None else f"?photo={photo_id}")
