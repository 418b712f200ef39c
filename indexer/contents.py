"""Stored photos by their bytes: what they have in common is made once."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from retrieval.catalogue.schema import photo_tokens, photos


@dataclass(frozen=True)
class Content:
    """Photos of the same bytes. places: where these may be found, with the pixels of the original."""

    content_hash: str
    owners: tuple[int, ...]
    places: tuple[tuple[str, int], ...]


def contents_of(connection: Connection, owners: Sequence[int]) -> dict[str, Content]:
    """Those photos by the hash of their bytes, in the order of their first ids."""
    columns = select(photos.c.id, photos.c.path, photos.c.content_hash, photos.c.width * photos.c.height)
    same: dict[str, list[tuple[int, str, int]]] = {}
    for owner, path, name, size in connection.execute(columns.where(photos.c.id.in_(owners)).order_by(photos.c.id)):
        same.setdefault(name, []).append((owner, path, size))
    return {
        name: Content(name, tuple(owner for owner, *_ in rows), tuple((path, size) for _, path, size in rows))
        for name, rows in same.items()
    }


def known_tokens(connection: Connection, hashes: Sequence[str]) -> dict[str, bytes]:
    """Tokens that photos of these bytes have, by the hash of the bytes."""
    # One of each: a catalogue may show one placeholder everywhere.
    columns = select(photos.c.content_hash, func.min(photo_tokens.c.data)).join_from(photos, photo_tokens)
    found = columns.where(photos.c.content_hash.in_(hashes)).group_by(photos.c.content_hash)
    return {name: data for name, data in connection.execute(found)}  # noqa: C416 (a row is no pair to mypy)
