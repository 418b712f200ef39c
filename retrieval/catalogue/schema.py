"""The tables of `catalog.db`: the truth from which every index file can be built again.

Ids of photos and texts come from `counters` and are never used twice, and the vector behind an id never changes. So
an index generation that covers ids up to M stays right for ever: rows with larger ids are newer, `tombstones` are gone.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

# `revision` counts committed changes; `items`, `photos`, `texts` and `ledger` hold the last id given out; `forgotten`
# is the last revision of which tombstones may be missing.
counters = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

# The encoder all vectors belong to; `spec` is EncoderSpec.to_json().
encoders = Table(
    "encoders",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("fingerprint", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("dimension", Integer, nullable=False),
    Column("spec", JSON, nullable=False),
)

sources = Table(
    "sources",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("location", Text, nullable=False, unique=True),
)


def _revision_column() -> Column[int]:
    """The revision that last wrote the row; 0 for rows older than the column. Texts need none: they never change."""
    return Column("revision", BigInteger, nullable=False, server_default="0", index=True)


items = Table(
    "items",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("item_id", Text, nullable=False, unique=True),
    Column("source_id", ForeignKey("sources.id"), nullable=False, index=True),
    Column("title", Text, nullable=False),
    Column("attributes", JSON, nullable=False),
    Column("row_hash", Text, nullable=False),
    _revision_column(),
)

photos = Table(
    "photos",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("item", ForeignKey("items.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("position", Integer, nullable=False),
    Column("path", Text, nullable=False),
    Column("content_hash", Text, nullable=False, index=True),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    _revision_column(),
)

texts = Table(
    "texts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("item", ForeignKey("items.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("field", Text, nullable=False),
    Column("content", Text, nullable=False),
)


def _embedding_table(name: str, owner: Table) -> Table:
    return Table(
        name,
        metadata,
        Column("owner_id", ForeignKey(owner.c.id, ondelete="CASCADE"), primary_key=True, autoincrement=False),
        Column("encoder_id", ForeignKey("encoders.id"), primary_key=True, autoincrement=False),
        Column("vector", LargeBinary, nullable=False),  # little-endian float16, `dimension` values
    )


photo_embeddings = _embedding_table("photo_embeddings", photos)
text_embeddings = _embedding_table("text_embeddings", texts)


def _token_table(name: str, owner: Table) -> Table:
    return Table(
        name,
        metadata,
        Column("owner_id", ForeignKey(owner.c.id, ondelete="CASCADE"), primary_key=True, autoincrement=False),
        Column("encoder_id", ForeignKey("encoders.id"), primary_key=True, autoincrement=False),
        Column("data", LargeBinary, nullable=False),  # retrieval/tokens/codec.py
    )


# What a reranker looks at, kept where the collection asks for it: a row in `token_specs`, which says what it reads.
photo_tokens = _token_table("photo_tokens", photos)
text_tokens = _token_table("text_tokens", texts)
token_specs = Table(
    "token_specs",
    metadata,
    Column("encoder_id", ForeignKey("encoders.id"), primary_key=True, autoincrement=False),
    Column("fingerprint", Text, nullable=False),
    Column("spec", JSON, nullable=False),  # TokenSpec.to_json()
)

# Photos (`image`), texts (`text`) and items (`item`) that were deleted, with the revision that deleted them. Those from
# before the older of the kept generations are dropped, and `counters.forgotten` is the last revision that lost some.
tombstones = Table(
    "tombstones",
    metadata,
    Column("modality", Text, primary_key=True),
    Column("owner_id", BigInteger, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False, index=True),
)

# The row is the commit point of an index file: without it the file does not exist for anybody.
generations = Table(
    "generations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("modality", Text, nullable=False),
    Column("encoder_id", ForeignKey("encoders.id"), nullable=False),
    Column("file", Text, nullable=False, unique=True),
    Column("sha256", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("max_owner_id", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("nprobe", Integer, nullable=False),  # inverted lists visited by a search, 0 for an exact index
    Column("recall", Float, nullable=False),  # recall@10 measured when nprobe was chosen, 1.0 for an exact index
    # Of an inverted index made since they are measured: see `InvertedIndex`.
    Column("code_error", Float),
    Column("reach", Float),
)

# What became of every file and row that a source ever named. `path` is empty for an item without photos; `item_id`
# is empty for an entry that could not become an item, and `path` then says where it stands.
ledger = Table(
    "ledger",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("source_id", ForeignKey("sources.id"), nullable=False),
    Column("item_id", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("state", Text, nullable=False),  # done, skipped, failed
    Column("reason", Text, nullable=False, default=""),
    Column("attempts", Integer, nullable=False, default=0),
    Column("size", BigInteger),
    Column("mtime_ns", BigInteger),
    Column("ctime_ns", BigInteger),
    UniqueConstraint("source_id", "item_id", "path"),
    Index("ledger_state", "state"),
    Index("ledger_item", "item_id"),
)

# What queries get that mean nothing (`retrieval/confidence/`). Their vectors, by kind: `words` or `image`.
null_queries = Table(
    "null_queries",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("encoder_id", ForeignKey("encoders.id"), nullable=False),
    Column("sha256", Text, nullable=False),  # of the vectors
    Column("vectors", LargeBinary, nullable=False),  # little-endian float16, rows of `dimension` values
)

# One distribution for each modality and kind of query: `words`, `image` or `both`.
calibrations = Table(
    "calibrations",
    metadata,
    Column("modality", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("encoder_id", ForeignKey("encoders.id"), nullable=False),
    Column("revision", BigInteger, nullable=False),  # of the collection when it was made
    Column("rows", Integer, nullable=False),  # vectors of the modality then
    Column("max_owner_id", BigInteger, nullable=False),
    Column("parameters", JSON, nullable=False),  # Calibration.to_json()
)

# Labels that `catalens tag --store` gave; they are merged into the items' attributes when rows are read.
item_tags = Table(
    "item_tags",
    metadata,
    Column("item", ForeignKey("items.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("field", Text, primary_key=True),
    Column("label", Text, primary_key=True),
    Column("confidence", Float, nullable=False),
    Index("item_tags_field", "field", "label"),
)

# Every version of the rules that was ever applied, as it was written; the newest holds. Rows are never changed.
rules = Table(
    "rules",
    metadata,
    Column("version", Integer, primary_key=True),
    Column("yaml", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("applied_at", Text, nullable=False),  # UTC, ISO 8601 to the second
    Column("note", Text, nullable=False),
)
