"""Rules from where they lie: a file of the user's, or the database."""

from pathlib import Path

from sqlalchemy import Connection

from retrieval.catalogue import rule_queries
from retrieval.errors import RulesError
from retrieval.rules.model import Rules
from retrieval.rules.ruleset import NO_RULES, RuleSet


def read_file(path: Path) -> bytes:
    """The content of a rules file, no more than a byte beyond what `parse` takes. Raises RulesError."""
    from retrieval.rules.document import MAX_BYTES

    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RulesError(
            f"{path} cannot be read: {error.strerror or error}", hint="give the path of a YAML file"
        ) from error


def parse_file(path: Path, content: bytes | None = None) -> Rules:
    """The rules of a file. content: of the file, if it was read before. Raises RulesError."""
    from retrieval.rules.schema import parse

    return parse(read_file(path) if content is None else content, str(path))


def rules_in_force(connection: Connection, held: RuleSet) -> RuleSet:
    """The newest rules of a collection, in the connection's snapshot; `held` if they are these.

    Raises RulesError when this program cannot read them, which an older one can have against a newer one's.
    """
    version = rule_queries.newest_version(connection)
    if held.version == version:
        return held
    stored = rule_queries.stored_rules(connection, version)
    if stored is None:
        return NO_RULES
    from retrieval.rules.schema import parse  # here, since a collection without rules needs no YAML

    return RuleSet(parse(stored.yaml.encode(), f"version {version} of the rules"), version)
