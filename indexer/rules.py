"""Stores a collection's rules: every change is a new version in one transaction, and nothing is ever overwritten."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, insert

from indexer.changes import advance
from indexer.writer import open_existing
from retrieval.catalogue.rule_queries import newest_version, stored_rules
from retrieval.catalogue.schema import rules
from retrieval.errors import RulesError
from retrieval.rules.schema import parse

MAX_NOTE = 500  # characters


@dataclass(frozen=True)
class Applied:
    """version: that holds now; changed: whether it is a new one, which the same rules as before do not make."""

    version: int
    changed: bool


def apply_rules(folder: Path, content: bytes, *, name: str, note: str = "") -> Applied:
    """Make these rules the collection's, from the next search on; running searchers see it too.

    content: of a rules file; name: of the file, for messages; note: what for, up to 500 characters.
    Raises RulesError when they cannot be read; CollectionNotFound, CollectionLocked, StorageError. Nothing has
    changed then.
    """
    parse(content, name)
    with open_existing(folder) as writer, writer.engine.begin() as connection:
        return _store(connection, content.decode("utf-8-sig"), note)


def revert_rules(folder: Path, version: int, *, note: str = "") -> Applied:
    """Make an older version's rules the collection's again, as a new version.

    Raises RulesError when there is no such version; CollectionNotFound, CollectionLocked, StorageError.
    """
    with open_existing(folder) as writer, writer.engine.begin() as connection:
        stored = stored_rules(connection, version)
        if stored is None:
            raise no_such_version(folder, version, newest_version(connection))
        parse(stored.yaml.encode(), f"version {version} of the rules")
        return _store(connection, stored.yaml, note or f"back to version {version}")


def no_such_version(folder: Path, version: int, newest: int) -> RulesError:
    """The error for a version that a collection does not have."""
    hint = f"it has 1 to {newest}; see: catalens rules history" if newest else "apply some with: catalens rules apply"
    return RulesError(f"{folder} has no version {version} of its rules", hint=hint)


def _store(connection: Connection, text: str, note: str) -> Applied:
    note = " ".join(note.encode(errors="replace").decode().split())
    if len(note) > MAX_NOTE:
        raise RulesError(f"the note has {len(note):,} characters", hint=f"write at most {MAX_NOTE:,}")
    newest = newest_version(connection)
    digest = hashlib.sha256(text.encode()).hexdigest()
    before = stored_rules(connection, newest)
    if before is not None and before.sha256 == digest:
        return Applied(newest, changed=False)
    row = {
        "version": newest + 1,
        "yaml": text,
        "sha256": digest,
        "applied_at": datetime.now(UTC).isoformat("T", "seconds"),
        "note": note,
    }
    connection.execute(insert(rules), row)
    advance(connection)
    return Applied(newest + 1, changed=True)
