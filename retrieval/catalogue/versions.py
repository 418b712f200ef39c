"""Which version of the schema a database has, and bringing it up to this one."""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from retrieval.errors import CollectionDamaged

HEAD = "0001"


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
        raise CollectionDamaged(
            f"{folder} holds no finished collection", hint="run the same catalens index command again"
        )
    if version < HEAD:
        raise CollectionDamaged(
            f"{folder} was made by an older Catalens (schema {version}, this program has {HEAD})",
            hint="any catalens index command on it brings it up to date",
        )
    raise CollectionDamaged(
        f"{folder} was made by a newer Catalens (schema {version}, this program has {HEAD})",
        hint="upgrade this program with: pip install --upgrade catalens",
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
