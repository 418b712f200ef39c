"""What readers ask of the versions of the rules. Each function takes a connection, so that several share a snapshot."""

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from retrieval.catalogue.schema import rules


@dataclass(frozen=True)
class StoredRules:
    """One version of a collection's rules.

    version: from 1. yaml: as it was written; sha256: of its UTF-8 bytes. applied_at: UTC, ISO 8601 to the second.
    """

    version: int
    yaml: str
    sha256: str
    applied_at: str
    note: str


def newest_version(connection: Connection) -> int:
    """The version that holds; 0 when no rules were ever applied."""
    return int(connection.execute(select(func.max(rules.c.version))).scalar() or 0)


def stored_rules(connection: Connection, version: int) -> StoredRules | None:
    """A version; None when there is none of that number."""
    row = connection.execute(select(rules).where(rules.c.version == version)).first()
    return None if row is None else StoredRules(*row)


def history(connection: Connection) -> list[StoredRules]:
    """All versions, newest first."""
    return [StoredRules(*row) for row in connection.execute(select(rules).order_by(rules.c.version.desc()))]
