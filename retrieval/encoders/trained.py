"""A folder that `catalens train heads` wrote: a pair of heads, whose towers they fit, and how they came about.

catalens_heads.json    format, base, towers_hash, heads_sha256, and the facts of the training
heads.safetensors      the pair
heads.seen             which pictures they were trained on
curve.png              how the training went
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from retrieval.encoders.base import DualEncoder
from retrieval.encoders.heads import Head, load_heads, save_heads
from retrieval.encoders.projected import TRAIN_AGAIN, ProjectedEncoder
from retrieval.encoders.towers.base import Towers
from retrieval.encoders.towers.embedding import EmbeddingTowers
from retrieval.errors import CatalensError, EncoderError, StorageError, WeightsUnavailable

FACTS = "catalens_heads.json"
HEADS = "heads.safetensors"
SEEN = "heads.seen"
CURVE = "curve.png"
WRITTEN = frozenset((FACTS, HEADS, SEEN, CURVE))
FORMAT = "catalens-trained-1"


def is_trained(folder: Path) -> bool:
    """Whether a folder says of itself that it holds trained heads."""
    return (folder / FACTS).is_file()


def towers_of(encoder: DualEncoder) -> Towers:
    """What is frozen when heads are trained on a model: its towers, or for one without heads its own embeddings."""
    return encoder.towers if isinstance(encoder, ProjectedEncoder) else EmbeddingTowers(encoder)


def load_trained(given: Path, load: Callable[[str], DualEncoder]) -> ProjectedEncoder:
    """The encoder in a folder, named by its absolute path.

    load: loads the base by its name (`load_encoder`).

    Raises EncoderError for a folder that is incomplete, changed or of another format, WeightsUnavailable or
    UnknownModel if the base cannot be loaded, and FingerprintMismatch if the base has other towers now.
    """
    folder = given.expanduser().resolve()
    facts = read_facts(folder)
    base = facts["base"]
    heads = load_heads(folder / HEADS)
    if heads.sha256 != facts["heads_sha256"]:
        raise EncoderError(
            f"{folder / HEADS} is not the file that {FACTS} names: SHA-256 {heads.sha256[:12]}… instead of "
            f"{facts['heads_sha256'][:12]}…",
            hint=f"copy the whole folder again, or {TRAIN_AGAIN}",
        )
    if is_trained(
        Path(base).expanduser()
    ):  # its towers have a name of their own; a folder that names itself never ends
        raise EncoderError(f"{folder / FACTS} names {base} as its base, which are heads too", hint=TRAIN_AGAIN)
    try:
        encoder = load(base)
    except CatalensError as error:
        raise type(error)(
            f"{folder} was trained on {base}, which cannot be loaded: {error}",
            hint=error.hint or f"bring the base back, or {TRAIN_AGAIN}",
        ) from error
    hint = f"bring that version of {base} back, or train again: catalens train heads DATA --base {base} --out {given}"
    return ProjectedEncoder(towers_of(encoder), heads, str(folder), hint=hint, seen=folder / SEEN)


def read_facts(folder: Path) -> dict[str, Any]:
    """What the folder says of itself, checked for what loading needs. Raises EncoderError."""
    path = folder / FACTS
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WeightsUnavailable(f"cannot read {path}: {error.strerror}", hint=TRAIN_AGAIN) from error
    except ValueError as error:
        raise EncoderError(f"{path} is not JSON: {error}", hint=TRAIN_AGAIN) from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise EncoderError(f"{path} does not describe heads of format {FORMAT}", hint=TRAIN_AGAIN)
    lacking = [key for key in ("base", "towers_hash", "heads_sha256") if not isinstance(facts.get(key), str)]
    if lacking:
        raise EncoderError(f"{path} lacks {', '.join(lacking)}", hint=TRAIN_AGAIN)
    return facts


def require_writable(out: Path) -> None:
    """Raises EncoderError for a place that holds anything but what a training writes: it is somebody's work.

    A leading `~` is the user's home, as in `write_trained`. StorageError if the folder cannot be read.
    """
    final = out.expanduser().resolve()
    try:
        held = sorted(path.name for path in final.iterdir()) if final.is_dir() else []
    except OSError as error:
        raise StorageError(
            f"cannot read {final}: {error.strerror or error}", hint="name another folder with --out"
        ) from error
    hint = "name a new folder with --out, or one that catalens train heads wrote"
    if final.exists() and not (final.is_dir() and (not held or is_trained(final))):
        raise EncoderError(f"{final} exists and holds no trained heads; nothing in it was touched", hint=hint)
    if others := [name for name in held if name not in WRITTEN]:
        raise EncoderError(
            f"{final} holds {others[0]}, which no training wrote; nothing in it was touched",
            hint=f"move it elsewhere, or {hint}",
        )


def write_trained(
    out: Path, *, image: Head, text: Head, towers: Towers, facts: Mapping[str, Any], extra: Mapping[str, bytes]
) -> None:
    """Write the folder aside and move it to its name, in place of one with trained heads: nobody sees half of one.

    facts: JSON values; format, base, towers_hash and heads_sha256 are added. extra: further files by name.

    Raises EncoderError as `require_writable` does, StorageError where the disk refuses.
    """
    final = out.expanduser().resolve()
    require_writable(final)
    aside = final.with_name(f".{final.name}.new-{os.getpid()}")
    old = final.with_name(f".{final.name}.old-{os.getpid()}")
    try:
        aside.mkdir(parents=True)
        digest = save_heads(aside / HEADS, image=image, text=text, towers=towers.towers_hash)
        told = {"format": FORMAT, "base": towers.name, "towers_hash": towers.towers_hash, "heads_sha256": digest}
        told |= facts
        (aside / FACTS).write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        for name, data in extra.items():
            (aside / name).write_bytes(data)
        if final.exists():
            final.rename(old)
        aside.rename(final)
    except OSError as error:
        raise StorageError(
            f"cannot write {out}: {error.strerror or error}", hint="check the disk, or name another folder with --out"
        ) from error
    finally:
        if old.exists() and not final.exists():
            old.rename(final)
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
