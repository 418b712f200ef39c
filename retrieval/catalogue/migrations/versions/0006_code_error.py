"""What a search under a filter knows of an inverted index; unknown for those made before."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("generations", sa.Column("code_error", sa.Float))
    op.add_column("generations", sa.Column("reach", sa.Float))
