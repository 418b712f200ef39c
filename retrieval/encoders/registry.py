"""The models worth knowing, as data: what `catalens models` lists. Costs neither torch nor the network."""

import json
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec

from retrieval.encoders.hub import cached

WEIGHTS = "open_clip_model.safetensors"


@dataclass(frozen=True)
class ModelInfo:
    """One model that `load_encoder` takes by its name. None where a figure is not known for sure.

    dimension: of the joint space.
    image_size: side in pixels of the square that the image tower sees.
    parameters_millions: of both towers together.
    languages: that its text tower learned, in words.
    licence: of the weights, by its SPDX name.
    download_mb: in 10^6 bytes; 0 for what is built in.
    good_for: when to choose it, in one line.
    requires: a Python package that it needs on top and that is missing here, or None.
    available: its weights are on this machine: built in, or in the local hub cache.
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


def models() -> tuple[ModelInfo, ...]:
    """The built-in model first, then well-known open_clip models. Any other open_clip model loads as well."""
    entries = json.loads(files("retrieval.encoders").joinpath("models.json").read_text(encoding="utf-8"))
    return tuple(_info(**entry) for entry in entries)


def _info(*, repository: str | None, requires: str | None, **facts: object) -> ModelInfo:
    return ModelInfo(
        requires=None if requires is None or find_spec(requires) else requires,
        available=repository is None or cached(repository, WEIGHTS) is not None,
        **facts,  # type: ignore[arg-type]  # the names and types are the file's; its test holds them to this class
    )
