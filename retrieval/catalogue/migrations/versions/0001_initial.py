"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "counters",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "encoders",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("fingerprint", sa.Text, nullable=False, unique=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("dimension", sa.Integer, nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
    )
    op.create_table(
        "sources",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("location", sa.Text, nullable=False, unique=True),
    )
    op.create_table(
        "items",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("item_id", sa.Text, nullable=False, unique=True),
        sa.Column("source_id", sa.Integer, sa.ForeignKey("sources.id"), nullable=False, index=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("attributes", sa.JSON, nullable=False),
        sa.Column("row_hash", sa.Text, nullable=False),
    )
    owned: dict[str, list[sa.Column[object]]] = {
        "photos": [
            sa.Column("position", sa.Integer, nullable=False),
            sa.Column("path", sa.Text, nullable=False),
            sa.Column("content_hash", sa.Text, nullable=False, index=True),
            sa.Column("width", sa.Integer, nullable=False),
            sa.Column("height", sa.Integer, nullable=False),
        ],
        "texts": [
            sa.Column("field", sa.Text, nullable=False),
            sa.Column("content", sa.Text, nullable=False),
        ],
    }
    for name, columns in owned.items():
        op.create_table(
            name,
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("item", sa.Integer, sa.ForeignKey("items.id", ondelete="CASCADE"), nullable=False, index=True),
            *columns,
        )
    for name, owner in {"photo_embeddings": "photos.id", "text_embeddings": "texts.id"}.items():
        op.create_table(
            name,
            sa.Column(
                "owner_id",
                sa.Integer,
                sa.ForeignKey(owner, ondelete="CASCADE"),
                primary_key=True,
                autoincrement=False,
            ),
            sa.Column("encoder_id", sa.Integer, sa.ForeignKey("encoders.id"), primary_key=True, autoincrement=False),
            sa.Column("vector", sa.LargeBinary, nullable=False),
        )
    op.create_table(
        "tombstones",
        sa.Column("modality", sa.Text, primary_key=True),
        sa.Column("owner_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("revision", sa.BigInteger, nullable=False, index=True),
    )
    op.create_table(
        "generations",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("modality", sa.Text, nullable=False),
        sa.Column("encoder_id", sa.Integer, sa.ForeignKey("encoders.id"), nullable=False),
        sa.Column("file", sa.Text, nullable=False, unique=True),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("max_owner_id", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("nprobe", sa.Integer, nullable=False),
        sa.Column("recall", sa.Float, nullable=False),
    )
    op.create_table(
        "ledger",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("source_id", sa.Integer, sa.ForeignKey("sources.id"), nullable=False),
        sa.Column("item_id", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("size", sa.BigInteger),
        sa.Column("mtime_ns", sa.BigInteger),
        sa.Column("ctime_ns", sa.BigInteger),
        sa.UniqueConstraint("source_id", "item_id", "path"),
    )
    op.create_index("ledger_state", "ledger", ["state"])
    op.create_index("ledger_item", "ledger", ["item_id"])
