"""What rerankers look at, for collections that ask for it."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    for name, owner in (("photo_tokens", "photos"), ("text_tokens", "texts")):
        op.create_table(
            name,
            sa.Column(
                "owner_id",
                sa.Integer,
                sa.ForeignKey(f"{owner}.id", ondelete="CASCADE"),
                primary_key=True,
                autoincrement=False,
            ),
            sa.Column("encoder_id", sa.Integer, sa.ForeignKey("encoders.id"), primary_key=True, autoincrement=False),
            sa.Column("data", sa.LargeBinary, nullable=False),
        )
    op.create_table(
        "token_specs",
        sa.Column("encoder_id", sa.Integer, sa.ForeignKey("encoders.id"), primary_key=True, autoincrement=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
    )
