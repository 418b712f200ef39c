"""The words of all items, for BM25. The rows are derived: whoever changes `retrieval.lexical` fills them anew."""

from alembic import op

from retrieval.catalogue import lexical

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    lexical.create(op.get_bind())
    lexical.fill(op.get_bind())
