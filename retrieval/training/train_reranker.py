"""A reranker for somebody's own pictures and texts, on one encoder's tokens, with a weight of 0 if it does not help."""

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from retrieval.arrays import FloatArray
from retrieval.encoders.base import DualEncoder
from retrieval.encoders.projected import ProjectedEncoder
from retrieval.encoders.seen import packed, read_seen
from retrieval.errors import TrainingError
from retrieval.rerankers.base import Direction, RerankerSpec
from retrieval.rerankers.folder import CURVE, SEEN, require_writable, write
from retrieval.rerankers.modules.pair import BANK, PairModule
from retrieval.rerankers.registry import KINDS, parameters
from retrieval.rerankers.torch_reranker import TorchReranker
from retrieval.training.combine import HUBS
from retrieval.training.curve import draw
from retrieval.training.data import TrainingData
from retrieval.training.fit import Epoch
from retrieval.training.fit_reranker import FittedReranker, RerankerSettings, fit_reranker
from retrieval.training.gather import Gathered, OnProgress, gather
from retrieval.training.reranked_validation import DIRECTIONS, RerankedValidation
from retrieval.training.reranker_data import TokenTowers
from retrieval.training.reranker_gathered import pairs_of, texts_with_tokens, views_of
from retrieval.training.reranker_pairs import TrainingPairs
from retrieval.training.train_heads import require_enough
from retrieval.training.validation import validation_of

SETTINGS = RerankerSettings()
VALIDATION = 0.15
FINALLY = 3_000
"""Queries of each check and direction by which weights are chosen, once."""


@dataclass(frozen=True)
class TrainedReranker:
    """before, after: success@1 of each of `judged.asked`, by the first stage and reranked."""

    fitted: FittedReranker
    spec: RerankerSpec
    gathered: Gathered
    judged: RerankedValidation
    before: Sequence[float]
    after: Sequence[float]

    @property
    def improved(self) -> bool:
        """Whether a match counts in any direction."""
        return any(self.spec.weights.values())

    def write(self, out: Path) -> RerankerSpec:
        """The folder that `load_reranker` takes, with the curve. Raises as `folder.write`."""
        curve = draw(self.fitted.history, before=float(np.mean(self.before)), best=self.fitted.epoch)
        trained = (one for one, part in zip(self.gathered.digests, self.gathered.parts, strict=True) if part == "train")
        seen = packed(bytes.fromhex(one[:16]) for one in trained)
        return write(out, self.fitted.module, self.spec, extra={CURVE: curve, SEEN: seen})


def train_reranker(
    data: TrainingData,
    base: DualEncoder,
    settings: RerankerSettings = SETTINGS,
    *,
    validation: float = VALIDATION,
    cache: Path | None = None,
    out: Path | None = None,
    seen: frozenset[bytes] = frozenset(),
    on_progress: OnProgress | None = None,
) -> TrainedReranker:
    """Train a reranker on the base's tokens; pictures that the base was trained on do not validate if others can.

    validation: share of the pictures that chooses epoch, weights and margins. cache: where tokens are kept.
    out: where the result will be written, checked before the work begins. seen: further pictures that the base was
    trained on, as `read_seen` gives them.

    Raises TrainingError for an encoder without tokens, settings without an epoch or data that teach nothing, and as
    `gather` does.
    """
    if not settings.contrast_epochs + settings.epochs:
        raise TrainingError("there is no epoch to train", hint="raise --contrast-epochs or --epochs")
    if out is not None:
        require_writable(out)
    towers = TokenTowers(base)
    seen |= read_seen(base.seen) if isinstance(base, ProjectedEncoder) else frozenset()
    found = gather(data.pictures, towers, validation=validation, cache=cache, seen=seen, on_progress=on_progress)
    own = texts_with_tokens(found, towers)
    rows = [row for row, part in enumerate(found.parts) if part == "train" and own[row]]
    checks = validation_of(found)
    require_enough(found, rows, checks, validation)
    judged = RerankedValidation(checks, towers, settings.depth, beyond=settings.beyond)
    nothing: dict[Direction, float] = dict.fromkeys(DIRECTIONS, 0.0)
    spec = RerankerSpec("new", settings.kind, "", towers.spec, nothing, nothing)

    def matches(module: PairModule) -> list[Any]:
        return judged.matches(TorchReranker(module, spec, towers.dimension))

    def on_epoch(epoch: Epoch) -> None:
        if on_progress:
            on_progress("epochs", epoch.number, settings.contrast_epochs + settings.epochs)

    none = [np.zeros_like(one.candidates.cosines) for one in judged.asked]
    before = judged.success(none, nothing)
    pairs = pairs_of(found, rows, own, towers, views_of(base, found, rows, settings.views, cache, on_progress))
    fitted = fit_reranker(
        KINDS[settings.kind](towers.spec, towers.dimension, settings.seed),
        pairs,
        lambda module: judged.figure(matches(module)),
        settings,
        before=float(np.mean(before)),
        on_epoch=on_epoch,
    )
    judged = RerankedValidation(checks, towers, settings.depth, FINALLY, beyond=settings.beyond)
    before = judged.success([np.zeros_like(one.candidates.cosines) for one in judged.asked], nothing)
    final = without_hubs(fitted.module, pairs, judged, matches(fitted.module), settings.seed)
    weights, margins = judged.combined(final)
    after = judged.success(final, weights)
    facts = {
        "started_from": {"model": base.spec.name, "fingerprint": base.spec.fingerprint},
        "data": data.summary(),
        "languages": list(data.languages),
        "pictures": {
            "train": found.parts.count("train"),
            "validation": found.parts.count("validation"),
            "unreadable": len(found.unreadable),
            "equal": found.equal,
            "seen_by_base": found.seen,
        },
        "texts": len(found.texts),
        "texts_without_tokens": int((towers.texts(found.text_features).lengths == 0).sum()),
        "validation_share": validation,
        "settings": asdict(settings),
        "seen": SEEN,
        "parameters": parameters(fitted.module),
        "best_epoch": fitted.epoch,
        "improved": any(weights.values()),
        "chosen_by": "validation success@1 after reranking, mean over directions and groups",
        "validation": {"checks": _checks(judged, before, after)},
        "history": [asdict(epoch) for epoch in fitted.history],
        "versions": {name: importlib.metadata.version(name) for name in ("catalens", "numpy", "torch")},
    }
    told = RerankerSpec("new", settings.kind, "", towers.spec, weights, margins, facts)
    return TrainedReranker(fitted, told, found, judged, before, after)


def without_hubs(
    module: PairModule, pairs: TrainingPairs, judged: RerankedValidation, matches: Sequence[FloatArray], seed: int
) -> list[FloatArray]:
    """Give the module a bank of training texts and photos and the weights of hubness that are best; the matches then.

    Each direction has a weight of its own: the candidates of a text differ by their photos' share alone, and the other
    way round.
    """
    rng = np.random.default_rng(seed)
    for bank, side in ((module.text_bank, pairs.texts), (module.photo_bank, pairs.photos)):
        rows = np.resize(rng.permutation(len(side)), BANK)
        bank.copy_(torch.from_numpy(np.ascontiguousarray(side.vectors[rows], dtype=np.float32)))
    hubness = judged.hubness(module)
    found = list(matches)
    asked_for: tuple[Direction, Direction] = ("image_to_text", "text_to_image")
    for number, direction in enumerate(asked_for):
        tried = [
            [one - weight * hubs[..., number] for one, hubs in zip(found, hubness, strict=True)] for weight in HUBS
        ]
        best = int(np.argmax([judged.figure(each, direction) for each in tried]))
        module.hub_weight[number] = HUBS[best]
        found = tried[best]
    return found


def _checks(judged: RerankedValidation, before: Sequence[float], after: Sequence[float]) -> list[Mapping[str, Any]]:
    return [
        {
            "data": one.source,
            "group": one.group,
            "direction": one.direction,
            "queries": len(one.queries),
            "first_stage": {"success@1": first},
            "reranked": {"success@1": second},
        }
        for one, first, second in zip(judged.asked, before, after, strict=True)
    ]
