"""What the catalogue keeps for rerankers: tokens beside the embeddings of photos and texts."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sqlalchemy import BindParameter, Connection, Table, bindparam, func, select

from retrieval.arrays import IdArray
from retrieval.catalogue.queries import EMBEDDINGS, Modality, as_arrays, chunks, rows_after
from retrieval.catalogue.schema import photo_tokens, text_tokens, token_specs
from retrieval.tokens.codec import padded, unpack
from retrieval.tokens.value import Tokens, TokenSpec

TOKENS: dict[Modality, Table] = {"image": photo_tokens, "text": text_tokens}

ROWS_READ = 256  # tokens at once where all are looked at: 2.4 MB

_IDS: BindParameter[int] = bindparam("ids", expanding=True)


def _with_tokens(modality: Modality) -> Any:
    vectors, tokens = EMBEDDINGS[modality], TOKENS[modality]
    mine = (tokens.c.owner_id == vectors.c.owner_id) & (tokens.c.encoder_id == vectors.c.encoder_id)
    columns = select(vectors.c.owner_id, vectors.c.vector, tokens.c.data)
    return columns.outerjoin_from(vectors, tokens, mine).where(vectors.c.owner_id.in_(_IDS))


_ROWS = {modality: _with_tokens(modality) for modality in EMBEDDINGS}


def token_spec(connection: Connection) -> TokenSpec | None:
    """What the collection keeps tokens for; None if it keeps none, or if its record of that is damaged.

    Of a damaged record nothing can be read, so it is as good as none: a search goes on, and new tokens replace them.
    """
    try:
        row = connection.execute(select(token_specs.c.fingerprint, token_specs.c.spec)).first()
        spec = None if row is None else TokenSpec.from_json(row.spec)
    except (ValueError, TypeError):  # no JSON, no text
        return None
    return spec if spec is not None and row is not None and row.fingerprint == spec.fingerprint else None


def tokens_of(
    connection: Connection,
    modality: Modality,
    owner_ids: Sequence[int] | IdArray,
    *,
    spec: TokenSpec | None,
    dimension: int,
) -> tuple[Tokens, IdArray]:
    """As `Collection.tokens`. spec: what the collection keeps; None for none."""
    most, width = (0, 1) if spec is None else spec.shape(modality)
    nothing = np.zeros((0, width), dtype=np.float32)
    owner_ids = [int(owner_id) for owner_id in owner_ids]  # SQLite would take NumPy's for bytes
    vectors = np.zeros((len(owner_ids), dimension), dtype=np.float32)
    found: dict[int, tuple[bytes, bytes | None]] = {}
    for chunk in chunks(owner_ids):
        found.update((row[0], (row[1], row[2])) for row in connection.execute(_ROWS[modality], {"ids": chunk}))
    rows, lacking = [nothing] * len(owner_ids), []
    for place, owner_id in enumerate(owner_ids):
        vector, data = found.get(owner_id, (None, None))
        if vector is None:  # deleted meanwhile
            continue
        vectors[place] = as_arrays([(owner_id, vector)], dimension)[1][0]
        try:
            rows[place] = unpack(data or b"", width, most)
        except ValueError:
            lacking.append(owner_id)
    return Tokens(*padded(rows, width), vectors), np.array(lacking, dtype=np.int64)


def damaged(connection: Connection, modality: Modality, spec: TokenSpec) -> Iterator[int]:
    """Ids of the photos or texts whose tokens cannot be read, in no order. Reads all tokens: 1 GB a 100,000 photos."""
    table, (most, width) = TOKENS[modality], spec.shape(modality)
    statement = select(table.c.owner_id, table.c.data).execution_options(yield_per=ROWS_READ)
    for owner_id, data in connection.execute(statement):
        try:
            unpack(data, width, most)
        except ValueError:
            yield owner_id


def lacking_count(connection: Connection, modality: Modality) -> int:
    """How many embedded photos or texts have no tokens."""
    return rows_after(connection, modality, 0) - _number(connection, TOKENS[modality])


def owners_without(connection: Connection, modality: Modality, after: int, limit: int) -> list[int]:
    """Ids of embedded photos or texts without tokens, ascending, from behind `after`; at most `limit`."""
    vectors, tokens = EMBEDDINGS[modality], TOKENS[modality]
    mine = (tokens.c.owner_id == vectors.c.owner_id) & (tokens.c.encoder_id == vectors.c.encoder_id)
    statement = (
        select(vectors.c.owner_id)
        .outerjoin(tokens, mine)
        .where(tokens.c.owner_id.is_(None), vectors.c.owner_id > after)
        .order_by(vectors.c.owner_id)
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())


def token_counts(connection: Connection) -> dict[str, Any]:
    """As `Collection.status` gives them: fingerprint of the spec or None, rows, and the mean bytes of a photo."""
    size = connection.execute(select(func.avg(func.length(photo_tokens.c.data)))).scalar()
    kept = token_spec(connection)
    return {
        "fingerprint": None if kept is None else kept.fingerprint,
        "photos": _number(connection, photo_tokens),
        "texts": _number(connection, text_tokens),
        "bytes_per_photo": round(float(size or 0)),
    }


def _number(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())
