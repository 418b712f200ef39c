"""Whether a database fits this program and its encoder, and bringing an older schema up to this one."""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from retrieval.catalogue.queries import EncoderRow
from retrieval.encoders.base import EncoderSpec
from retrieval.errors import CollectionDamaged, FingerprintMismatch

HEAD = "0007"


def version_of(connection: Connection) -> str | None:
    """The schema version recorded in the database; None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def require_head(connection: Connection, folder: Path) -> None:
    """Raise CollectionDamaged unless the database has exactly this program's schema."""
    version = version_of(connection)
    if version == HEAD:
        return
    if version is None:
        raise unfinished(folder)
    if version < HEAD:
        raise CollectionDamaged(
            f"{folder} was made by an older Catalens (schema {version}, this program has {HEAD})",
            hint="any catalens index command on it brings it up to date",
        )
    raise CollectionDamaged(
        f"{folder} was made by a newer Catalens (schema {version}, this program has {HEAD})",
        hint="upgrade this program with: pip install --upgrade catalens",
    )


def unfinished(folder: Path) -> CollectionDamaged:
    """The error for a collection whose first run never got to its end."""
    return CollectionDamaged(f"{folder} holds no finished collection", hint="run the same catalens index command again")


def mismatch(folder: Path, made_with: EncoderRow, spec: EncoderSpec) -> FingerprintMismatch:
    """The error for an encoder whose vectors do not belong to the collection's."""
    made = f"{folder} was made with {made_with.name} (fingerprint {made_with.fingerprint})"
    if made_with.name == spec.name and Path(spec.name).is_absolute():
        return FingerprintMismatch(
            f"{made}, which was trained again or replaced since (fingerprint {spec.fingerprint})",
            hint=f"index anew with: catalens index SOURCE --model {spec.name} --collection NEW-FOLDER",
        )
    if made_with.name == spec.name:
        return FingerprintMismatch(
            f"{made}, which is another model in this release (fingerprint {spec.fingerprint})",
            hint="index again into another --collection",
        )
    return FingerprintMismatch(
        f"{made}, not with {spec.name} (fingerprint {spec.fingerprint})",
        hint=f"use the model {made_with.name}, or index again into another --collection",
    )


def upgrade(engine: Engine, folder: Path) -> None:
    """Create the schema or bring an older one up to date, in one transaction. Writers only."""
    with engine.connect() as connection:
        version = version_of(connection)
        if version is not None and version >= HEAD:
            require_head(connection, folder)
            return
    # Imported here: Alembic takes 0.2 s to import and a collection needs it once in its life.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
