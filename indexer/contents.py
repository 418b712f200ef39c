"""Stored photos by their bytes: what they have in common is made once."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from retrieval.catalogue.schema import photo_embeddings, photo_tokens, photos


@dataclass(frozen=True)
class Content:
    """Photos of the same bytes. places: where these may be found, with the pixels of the original."""

    content_hash: str
    owners: tuple[int, ...]
    places: tuple[tuple[str, int], ...]


def hashes_of(connection: Connection, owners: Sequence[int]) -> list[str]:
    """What bytes those photos have, each once, in the order of the ids."""
    statement = select(photos.c.content_hash).where(photos.c.id.in_(owners)).order_by(photos.c.id)
    return list(dict.fromkeys(connection.execute(statement).scalars()))


def contents_without_tokens(connection: Connection, hashes: Sequence[str]) -> dict[str, Content]:
    """All embedded photos of these bytes that have no tokens, by hash, in the order of their first ids."""
    statement = (
        select(photos.c.id, photos.c.path, photos.c.content_hash, photos.c.width * photos.c.height)
        .join_from(photos, photo_embeddings)
        .outerjoin(photo_tokens, photo_tokens.c.owner_id == photos.c.id)
        .where(photos.c.content_hash.in_(hashes), photo_tokens.c.owner_id.is_(None))
        .order_by(photos.c.id)
    )
    same: dict[str, list[tuple[int, str, int]]] = {}
    for owner, path, name, size in connection.execute(statement):
        same.setdefault(name, []).append((owner, path, size))
    return {
        name: Content(name, tuple(owner for owner, *_ in rows), tuple((path, size) for _, path, size in rows))
        for name, rows in same.items()
    }


def known_tokens(connection: Connection, hashes: Sequence[str]) -> dict[str, bytes]:
    """Tokens that photos of these bytes have, by the hash of the bytes."""
    # Of one photo each, found without reading the others': a catalogue may show one placeholder everywhere.
    first = (
        select(photos.c.content_hash, func.min(photo_tokens.c.owner_id).label("owner_id"))
        .join_from(photos, photo_tokens)
        .where(photos.c.content_hash.in_(hashes))
        .group_by(photos.c.content_hash)
        .subquery()
    )
    found = select(first.c.content_hash, photo_tokens.c.data).join_from(
        first, photo_tokens, photo_tokens.c.owner_id == first.c.owner_id
    )
    return {name: data for name, data in connection.execute(found)}  # noqa: C416 (a row is no pair to mypy)
