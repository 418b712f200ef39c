"""Heads for somebody's own pictures and texts, from the base's own heads, kept if they are better on validation."""

import importlib.metadata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from retrieval.encoders.base import DualEncoder
from retrieval.encoders.heads import Head
from retrieval.encoders.projected import ProjectedEncoder
from retrieval.encoders.seen import packed, read_seen
from retrieval.encoders.towers.base import Towers
from retrieval.encoders.towers.embedding import identity_head
from retrieval.encoders.trained import CURVE, SEEN, require_writable, towers_of, write_trained
from retrieval.errors import TrainingError
from retrieval.training.curve import draw
from retrieval.training.data import TrainingData
from retrieval.training.fit import Epoch, Fitted, Settings, fit
from retrieval.training.gather import Gathered, OnProgress, gather
from retrieval.training.pairs import pair
from retrieval.training.validation import Validation, validation_of

SETTINGS = Settings(learning_rate=2e-3, dropout=0.3)
VALIDATION = 0.15
MIN_PICTURES = 8
"""In the training part: fewer teach a head of a million weights nothing that holds for others."""
KS = (1, 10)

Success = list[dict[str, list[float]]]


@dataclass(frozen=True)
class Trained:
    """A pair of heads as it will be saved, and all that was found on the way.

    fitted: of the epoch that was kept, 0 if that is the start. before, after: success of the start and of the pair on
    each check of `validation`, at KS. seen: pictures that the pair was trained on, by the base or here.
    """

    fitted: Fitted
    towers: Towers
    started_from: Mapping[str, str]
    data: TrainingData
    gathered: Gathered
    validation: Validation
    validation_share: float
    settings: Settings
    before: Success
    after: Success
    seen: frozenset[bytes]

    @property
    def improved(self) -> bool:
        """Whether any epoch was better than the base on validation."""
        return self.fitted.epoch > 0

    def facts(self) -> dict[str, Any]:
        """How the pair came about, as JSON values; the same for the same data, seed, runtime and machine."""
        parts = self.gathered.parts
        return {
            "started_from": dict(self.started_from),
            "runtime": self.towers.runtime,
            "data": self.data.summary(),
            "languages": list(self.data.languages),
            "pictures": {
                "train": parts.count("train"),
                "validation": parts.count("validation"),
                "unreadable": len(self.gathered.unreadable),
                "equal": self.gathered.equal,
                "seen_by_base": self.gathered.seen,
            },
            "texts": len(self.gathered.texts),
            "validation_share": self.validation_share,
            "settings": asdict(self.settings),
            "best_epoch": self.fitted.epoch,
            "improved": self.improved,
            "chosen_by": "validation success@1, mean of text_to_image and image_to_text, over groups, over data sets",
            "validation": {
                "mean": {"before": self._means(self.before), "after": self._means(self.after)},
                "checks": [
                    {
                        "data": check.source,
                        "group": check.group,
                        "pictures": len(check.pictures),
                        "texts": len(check.texts),
                        **{name: _named(one) for name, one in (("before", before), ("after", after))},
                    }
                    for check, before, after in zip(self.validation.checks, self.before, self.after, strict=True)
                ],
            },
            "history": [asdict(epoch) for epoch in self.fitted.history],
            "versions": {name: importlib.metadata.version(name) for name in ("catalens", "numpy", "torch")},
        }

    def _means(self, success: Success) -> dict[str, float]:
        return {f"success@{k}": mean for k, mean in zip(KS, self.validation.means(success), strict=True)}

    def write(self, out: Path) -> None:
        """The folder that `load_encoder` takes, with the curve. Raises as `write_trained`."""
        curve = draw(self.fitted.history, before=self._means(self.before)["success@1"], best=self.fitted.epoch)
        write_trained(
            out,
            image=self.fitted.image,
            text=self.fitted.text,
            towers=self.towers,
            facts=self.facts(),
            extra={CURVE: curve, SEEN: packed(self.seen)},
        )


def train_heads(
    data: TrainingData,
    base: DualEncoder,
    settings: Settings = SETTINGS,
    *,
    validation: float = VALIDATION,
    cache: Path | None = None,
    out: Path | None = None,
    on_progress: OnProgress | None = None,
) -> Trained:
    """Train a pair of heads on the base's towers, from the base's own heads or, if it has none, from the identity.

    validation: share of the pictures that chooses the epoch. cache: where features are kept.
    out: where the result will be written, checked before the work begins.

    Raises TrainingError if the data teach nothing or leave nothing to judge by, and as `gather` does.
    """
    if out is not None:
        require_writable(out)
    towers = towers_of(base)
    start = _start(base)
    seen = read_seen(base.seen) if isinstance(base, ProjectedEncoder) else frozenset()
    found = gather(data.pictures, towers, validation=validation, cache=cache, seen=seen, on_progress=on_progress)
    rows = [row for row, part in enumerate(found.parts) if part == "train" and found.groups[row]]
    judge = validation_of(found)
    require_enough(found, rows, judge, validation)
    pairs = pair([found.groups[row] for row in rows])

    def on_epoch(epoch: Epoch) -> None:
        if on_progress:
            on_progress("epochs", epoch.number, settings.epochs)

    fitted = fit(
        found.images[rows],
        found.text_features[[found.texts[text] for text in pairs.texts]],
        pairs,
        judge.figure,
        settings,
        start=start,
        on_epoch=on_epoch,
    )
    before, saved = judge.success(*start, KS), (fitted.image.as_saved(), fitted.text.as_saved())
    after = judge.success(*saved, KS)
    if fitted.epoch and judge.means(after)[0] <= judge.means(before)[0]:  # rounding took what little was won
        fitted, saved, after = replace(fitted, epoch=0), start, before
    return Trained(
        fitted=replace(fitted, image=saved[0], text=saved[1]),
        towers=towers,
        started_from={"model": base.spec.name, "fingerprint": base.spec.fingerprint},
        data=data,
        gathered=found,
        validation=judge,
        validation_share=validation,
        settings=settings,
        before=before,
        after=after,
        seen=seen | {bytes.fromhex(found.digests[row][:16]) for row in rows} if fitted.epoch else seen,
    )


def _start(base: DualEncoder) -> tuple[Head, Head]:
    if isinstance(base, ProjectedEncoder):
        return base.heads.image, base.heads.text
    image, text = identity_head(base.spec.dimension, seed=0), identity_head(base.spec.dimension, seed=1)
    return image.as_saved(), text.as_saved()


def require_enough(found: Gathered, rows: list[int], judge: Validation, share: float) -> None:
    """Raise TrainingError if the data teach nothing (rows: that train) or leave nothing to judge by."""
    if len(rows) < MIN_PICTURES:
        raise TrainingError(
            f"{len(rows):,} of {len(found.pictures):,} different pictures are left to train on; at least "
            f"{MIN_PICTURES} are needed",
            hint="add pictures with texts, or lower --validation",
        )
    if len({text for row in rows for own in found.groups[row].values() for text in own}) < 2:
        raise TrainingError(
            f"all {len(rows):,} pictures have the same text: there is nothing to tell apart",
            hint="give each picture a text of its own, such as a title; see which columns were read",
        )
    if not judge.checks:
        count = found.parts.count("validation")
        raise TrainingError(
            f"{count:,} of {len(found.pictures):,} different pictures fell into the validation part, with fewer than "
            "two texts: nothing to judge by",
            hint=f"raise --validation above {share:g}, or add pictures with texts of their own",
        )


def _named(success: Mapping[str, list[float]]) -> dict[str, dict[str, float]]:
    return {
        direction: {f"success@{k}": share for k, share in zip(KS, shares, strict=True)}
        for direction, shares in success.items()
    }
