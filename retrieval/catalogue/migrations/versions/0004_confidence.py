"""What queries get that mean nothing, and labels that were given to items."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "null_queries",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("encoder_id", sa.Integer, sa.ForeignKey("encoders.id"), nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("vectors", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "calibrations",
        sa.Column("modality", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("encoder_id", sa.Integer, sa.ForeignKey("encoders.id"), nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("max_owner_id", sa.BigInteger, nullable=False),
        sa.Column("parameters", sa.JSON, nullable=False),
    )
    op.create_table(
        "item_tags",
        sa.Column(
            "item", sa.Integer, sa.ForeignKey("items.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
        ),
        sa.Column("field", sa.Text, primary_key=True),
        sa.Column("label", sa.Text, primary_key=True),
        sa.Column("confidence", sa.Float, nullable=False),
    )
    op.create_index("item_tags_field", "item_tags", ["field", "label"])
