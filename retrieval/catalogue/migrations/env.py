"""Alembic's entry point: runs the migrations on the connection it is given, inside the caller's transaction."""

from alembic import context

from retrieval.catalogue.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
