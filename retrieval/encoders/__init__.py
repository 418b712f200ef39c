"""Encoders: towers that put pictures and texts into one space. Importing this package imports no tower."""

from retrieval import settings
from retrieval.encoders.base import DualEncoder

STARTER = "starter"


def load_encoder(name: str) -> DualEncoder:
    """The encoder of that name, ready to encode.

    name: `starter` (built in, no download), an open_clip model with its pretrained tag
        (`ViT-B-32/laion2b_s34b_b79k`, `ViT-B-32,openai`, `ViT-B-32::openai`), `hf-hub:org/name`, or a folder with
        `open_clip_config.json` and `open_clip_model.safetensors`.

    Raises UnknownModel (no such name), WeightsUnavailable (not on this machine and not to be fetched) or another
    EncoderError (broken files, pickled weights, a missing package).
    """
    settings.share_cores()
    if name == STARTER:
        from retrieval.encoders.starter import load_starter

        return load_starter()
    from retrieval.encoders.openclip import load_open_clip

    return load_open_clip(name)
