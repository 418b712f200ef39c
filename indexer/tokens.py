"""Whether a run keeps what a reranker looks at: where it is asked for, or where the collection has it already."""

from pathlib import Path

from sqlalchemy import Connection, Engine, delete, insert, select

from indexer.changes import advance
from retrieval.catalogue.queries import rows_after
from retrieval.catalogue.schema import token_specs
from retrieval.catalogue.token_queries import TOKENS, lacking_count, token_spec
from retrieval.encoders.base import DualEncoder, TokenEncoder
from retrieval.errors import EncoderError, FingerprintMismatch
from retrieval.tokens.value import TokenSpec

_DAMAGED = (
    "The tokens for reranking cannot be used, because the collection's record of what they are is damaged; replace "
    "them with: catalens index --add-tokens"
)


def spec_of(encoder: DualEncoder) -> TokenSpec | None:
    """What tokens an encoder gives here; None if it gives none."""
    return encoder.token_spec if isinstance(encoder, TokenEncoder) else None


def required_spec(encoder: DualEncoder) -> TokenSpec:
    """The same. Raises EncoderError if it gives none."""
    spec = spec_of(encoder)
    if spec is None:
        runtime = str(getattr(encoder, "runtime", "torch"))
        hint = "starter has them, and every open_clip model whose image tower is a vision transformer"
        raise EncoderError(
            f"{encoder.spec.name} gives no places of a picture, which reranking needs",
            hint=hint if runtime == "torch" else "on this runtime; use --runtime torch",
        )
    return spec


def start_keeping(engine: Engine, folder: Path, encoder_id: int, spec: TokenSpec) -> None:
    """From now on the collection keeps these tokens. Raises FingerprintMismatch if it keeps others."""
    with engine.begin() as connection:
        kept = token_spec(connection)
        if kept is None:
            _begin(connection, encoder_id, spec)
        elif kept.fingerprint != spec.fingerprint:
            raise FingerprintMismatch(
                f"{folder} keeps tokens of another kind ({kept.fingerprint}) than {spec.fingerprint}, which this "
                "release makes",
                hint="replace them with: catalens index --add-tokens",
            )


def replace_others(engine: Engine, encoder_id: int, spec: TokenSpec) -> bool:
    """From now on the collection keeps these tokens, and none of another kind. Says if there were others."""
    with engine.begin() as connection:
        kept = token_spec(connection)
        if kept is not None and kept.fingerprint == spec.fingerprint:
            return False
        return _begin(connection, encoder_id, spec)


def goes_on(connection: Connection, encoder: DualEncoder) -> tuple[bool, str]:
    """Does a run on this collection keep tokens? And what a person should know if it cannot though it should."""
    kept = token_spec(connection)
    if kept is None:
        return False, _DAMAGED * _has_record(connection)
    given = spec_of(encoder)
    if given is not None and given.fingerprint == kept.fingerprint:
        return True, ""
    why = "this release makes others" if given else f"{encoder.spec.name} gives none on this runtime"
    how = "catalens index --add-tokens" + ("" if given else " --runtime torch")
    return False, f"New photos have no tokens for reranking, because {why}; add them with: {how}"


def lacking(connection: Connection) -> str:
    """Says how many photos have no tokens though the collection keeps some; empty if all have them."""
    photos = rows_after(connection, "image", 0)
    without = lacking_count(connection, "image")
    if not without:
        return ""
    return f"{without:,} of {photos:,} photos have no tokens for reranking; add them with: catalens index --add-tokens"


def _begin(connection: Connection, encoder_id: int, spec: TokenSpec) -> bool:
    """Keep these and no others. Says if there were others, of another kind or of one that cannot be read any more."""
    others = _has_record(connection)
    for table in (*TOKENS.values(), token_specs):
        connection.execute(delete(table))
    if others:
        advance(connection)
    row = {"encoder_id": encoder_id, "fingerprint": spec.fingerprint, "spec": spec.to_json()}
    connection.execute(insert(token_specs), row)
    return others


def _has_record(connection: Connection) -> bool:
    return connection.execute(select(token_specs.c.encoder_id).limit(1)).scalar() is not None
