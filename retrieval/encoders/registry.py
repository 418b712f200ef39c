"""The models worth knowing, as data: what `catalens models` lists. Costs neither torch nor the network."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

from retrieval.encoders.hub import cached
from retrieval.errors import UnknownModel

WEIGHTS = "open_clip_model.safetensors"
REFERENCE = "ViT-B-32"  # what relative speeds are relative to


@dataclass(frozen=True)
class Published:
    """Recall@1 in percent (a query counts as found if any right answer comes first), zero-shot, as others published it.

    On the Karpathy test splits of Flickr30k (1,000 photos) and COCO (5,000), five captions each. None where the source
    has no such figure.
    """

    flickr30k_text_to_image: float | None
    flickr30k_image_to_text: float | None
    coco_text_to_image: float | None
    coco_image_to_text: float | None
    source: str


@dataclass(frozen=True)
class ModelInfo:
    """One model that `load_encoder` takes by its name. None where a figure is not known for sure.

    dimension: of the joint space.
    image_size: side in pixels of the square that the image tower sees.
    parameters_millions: of both towers together.
    languages: that its text tower learned, in words.
    licence: of the weights, by its SPDX name; `apple-amlr` allows research only.
    download_mb: in 10^6 bytes; 0 for what is built in.
    good_for: when to choose it, in one line.
    requires: a Python package that it needs on top and that is missing here, or None.
    available: its weights are on this machine: built in, or in the local hub cache.
    published: its retrieval quality, or None if no figure was found.
    core_ms: processor time in milliseconds for one picture, image tower only, torch in float32 on one thread, measured
        with random weights on the machine that `model_speed.json` describes; None if it was not measured.
    relative_speed: pictures per second relative to ViT-B-32, from `core_ms`.
    """

    name: str
    dimension: int | None
    image_size: int | None
    parameters_millions: float | None
    languages: str
    licence: str
    download_mb: int | None
    good_for: str
    requires: str | None
    available: bool
    published: Published | None
    core_ms: float | None
    relative_speed: float | None


def models() -> tuple[ModelInfo, ...]:
    """The built-in model first, then well-known open_clip models. Any other open_clip model loads as well."""
    core_ms = _data("model_speed.json")["core_ms"]
    return tuple(_info(core_ms=core_ms, **entry) for entry in _data("models.json"))


def model(name: str) -> ModelInfo:
    """The listed model of that name. Raises UnknownModel, naming the nearest."""
    listed = {info.name: info for info in models()}
    if name not in listed:
        near = difflib.get_close_matches(name, listed, n=1, cutoff=0.5)
        raise UnknownModel(
            f"{name!r} is not in the list",
            hint=(f"did you mean {near[0]}? " if near else "")
            + "`catalens models` lists all; any other open_clip model loads by its name as well",
        )
    return listed[name]


def _data(filename: str) -> Any:
    return json.loads(files("retrieval.encoders").joinpath(filename).read_text(encoding="utf-8"))


def _info(
    *,
    repository: str | None,
    requires: str | None,
    published: Mapping[str, Any] | None,
    core_ms: Mapping[str, float],
    **facts: Any,
) -> ModelInfo:
    took = core_ms.get(facts["name"].partition("/")[0])
    return ModelInfo(
        requires=None if requires is None or find_spec(requires) else requires,
        available=repository is None or cached(repository, WEIGHTS) is not None,
        published=Published(**published) if published else None,
        core_ms=took,
        relative_speed=round(core_ms[REFERENCE] / took, 3) if took and REFERENCE in core_ms else None,
        **facts,
    )
