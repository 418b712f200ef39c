"""A reranker on disk: what it is, and its weights.

catalens_reranker.json    format, kind, dimension, which tokens it reads, weights_sha256, and how it was trained
reranker.safetensors      the weights in float16, half the size for logits within 1e-3 of their spread
reranker.seen             which pictures it was trained on (see `retrieval.encoders.seen`)
curve.png                 how the training went

The one that is built in is two such files under other names: `assets/starter.json` and `assets/starter.safetensors`.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.encoders.base import STARTER
from retrieval.encoders.heads import ordered
from retrieval.errors import EncoderError, StorageError, WeightsUnavailable
from retrieval.rerankers.base import RerankerSpec
from retrieval.rerankers.description import FORMAT, described, parsed
from retrieval.rerankers.registry import KINDS

if TYPE_CHECKING:
    from torch import nn

    from retrieval.rerankers.modules.pair import PairModule

DESCRIPTION = "catalens_reranker.json"
WEIGHTS = "reranker.safetensors"
SEEN = "reranker.seen"
CURVE = "curve.png"
WRITTEN = frozenset((DESCRIPTION, WEIGHTS, SEEN, CURVE))
ASSETS = Path(__file__).parent / "assets"
_AGAIN = "copy the whole folder again, or train again: catalens train reranker"


@dataclass(frozen=True)
class Stored:
    """A reranker that lies on disk, whose weights were checked against their hash.

    dimension: of the joint vectors. weights: the safetensors file.
    """

    spec: RerankerSpec
    dimension: int
    weights: bytes

    def module(self) -> "PairModule":
        """The network in evaluation mode, in float32. Imports torch. Raises EncoderError if the weights do not fit."""
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load

        module = KINDS[self.spec.kind](self.spec.tokens, self.dimension, 0)
        try:
            found = {name: tensor.float() for name, tensor in load(self.weights).items()}
            module.load_state_dict(found)
        except (SafetensorError, RuntimeError, ValueError) as error:  # torch names what lacks, over several lines
            reason = " ".join(str(error).split())[:200]
            raise EncoderError(
                f"the weights of {self.spec.name} do not fit the kind {self.spec.kind}: {reason}", hint=_AGAIN
            ) from error
        if not all(torch.isfinite(tensor).all() for tensor in found.values()):
            raise EncoderError(f"the weights of {self.spec.name} are not all finite numbers", hint=_AGAIN)
        return module.eval()


def read(name: str) -> Stored:
    """`starter`, or a folder.

    Raises WeightsUnavailable if a file cannot be read, EncoderError if it is damaged or of another format.
    """
    if name == STARTER:
        path, weights = ASSETS / f"{STARTER}.json", ASSETS / f"{STARTER}.safetensors"
    else:
        folder = Path(name).expanduser().resolve()
        if not folder.exists():
            raise WeightsUnavailable(
                f"there is no reranker {name!r}: neither a built-in one nor a folder",
                hint=f"name {STARTER}, or the folder that catalens train reranker --out wrote",
            )
        if not is_reranker(folder):
            raise WeightsUnavailable(
                f"{name} is no reranker: there is no {DESCRIPTION} in it",
                hint=f"name {STARTER}, or the folder that catalens train reranker --out wrote",
            )
        name, path, weights = str(folder), folder / DESCRIPTION, folder / WEIGHTS
    found = parsed(_bytes(path), path, name)
    data = _bytes(weights)
    digest = hashlib.sha256(data).hexdigest()
    if digest != found.spec.weights_hash:
        raise EncoderError(
            f"{weights} is not the file that {path.name} names: SHA-256 {digest[:12]}… instead of "
            f"{found.spec.weights_hash[:12]}…",
            hint=_AGAIN,
        )
    return Stored(found.spec, found.dimension, data)


def default_reranker(encoder_fingerprint: str) -> str | None:
    """`starter` if one is built in that reads this encoder's tokens, else None. Reads only its description."""
    path = ASSETS / f"{STARTER}.json"
    if not path.is_file():
        return None
    return STARTER if parsed(_bytes(path), path, STARTER).spec.tokens.encoder == encoder_fingerprint else None


def is_reranker(folder: Path) -> bool:
    """Whether a folder says of itself that it holds a reranker."""
    return (folder / DESCRIPTION).is_file()


def require_writable(out: Path) -> None:
    """Raises EncoderError for a place that holds anything but a reranker: it is somebody's work.

    StorageError if the folder cannot be read.
    """
    final = out.expanduser().resolve()
    hint = "name a new folder with --out, or one that holds a reranker"
    try:
        held = sorted(path.name for path in final.iterdir()) if final.is_dir() else []
    except OSError as error:
        raise StorageError(f"cannot read {final}: {error.strerror or error}", hint=hint) from error
    if final.exists() and not (final.is_dir() and (not held or is_reranker(final))):
        raise EncoderError(f"{final} exists and holds no reranker; nothing in it was touched", hint=hint)
    if others := [name for name in held if name not in WRITTEN]:
        raise EncoderError(f"{final} holds {others[0]}, which is no part of a reranker; nothing was touched", hint=hint)


def write(
    out: Path, module: "PairModule", spec: RerankerSpec, *, extra: Mapping[str, bytes] | None = None
) -> RerankerSpec:
    """Write the folder aside and move it to its name, in place of another reranker: nobody sees half of one.

    spec: its name and weights_hash are not looked at; what is returned has those of the folder. extra: further files
    by name, such as the curve.

    Raises EncoderError as `require_writable` does or for weights that float16 cannot hold, StorageError where the disk
    refuses.
    """
    final = out.expanduser().resolve()
    require_writable(final)
    aside = final.with_name(f".{final.name}.new-{os.getpid()}")
    old = final.with_name(f".{final.name}.old-{os.getpid()}")
    data = weights_of(module)
    digest = hashlib.sha256(data).hexdigest()
    told = described(spec, module.dimension, digest)
    try:
        aside.mkdir(parents=True)
        (aside / WEIGHTS).write_bytes(data)
        (aside / DESCRIPTION).write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        for name, content in (extra or {}).items():
            (aside / name).write_bytes(content)
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
    return RerankerSpec(str(final), spec.kind, digest, spec.tokens, spec.weights, spec.margins, spec.facts)


def weights_of(module: "nn.Module") -> bytes:
    """A module's weights as a safetensors file in float16. Raises EncoderError if one is not finite there."""
    import torch
    from safetensors.torch import save

    tensors = {name: value.detach().cpu().half().contiguous() for name, value in module.state_dict().items()}
    if broken := next((name for name, value in tensors.items() if not torch.isfinite(value).all()), None):
        raise EncoderError(f"the weights {broken} are not finite in float16", hint="train with a lower learning rate")
    return ordered(save(tensors, metadata={"format": FORMAT}))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsUnavailable(f"cannot read {path}: {error.strerror}", hint=_AGAIN) from error
