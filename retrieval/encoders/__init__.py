"""Encoders: towers that put pictures and texts into one space. Importing this package imports no tower."""

from functools import partial
from pathlib import Path

from retrieval import settings
from retrieval.encoders.base import STARTER, DualEncoder


def load_encoder(name: str, *, runtime: str | None = None, pictures: int = 0) -> DualEncoder:
    """The encoder of that name, ready to encode.

    name: `starter` (built in, no download), an open_clip model with its pretrained tag
        (`ViT-B-32/laion2b_s34b_b79k`, `ViT-B-32,openai`, `ViT-B-32::openai`), `hf-hub:org/name`, a folder with
        `open_clip_config.json` and `open_clip_model.safetensors`, or one that `catalens train heads` wrote.
    runtime: `torch`; `openvino`, which exports the model first if that was never done; or `auto`: an export if there
        is one, else torch. None: what `$CATALENS_RUNTIME` says, else `auto`.
    pictures: about how many will be encoded: from 1,000 on, `auto` makes an export too.

    Raises UnknownModel (no such name), WeightsUnavailable (not on this machine and not to be fetched), ExportError
    (OpenVINO was asked for and cannot run it), QueryError (no such runtime) or another EncoderError (broken files,
    pickled weights, a missing package, heads of other towers).
    """
    settings.share_cores()
    from retrieval.errors import ExportError
    from retrieval.runtime.choose import OPENVINO, TORCH, chosen, require_agreement, runs_on, say_once

    wanted = chosen(runtime)
    from retrieval.encoders.trained import is_trained, load_trained

    if name != STARTER and is_trained(Path(name).expanduser()):
        encoder = load_trained(Path(name), partial(load_encoder, runtime=wanted, pictures=pictures))
        if runs_on(encoder) == TORCH:
            return encoder
        try:
            require_agreement(encoder)
        except ExportError as error:
            if wanted == OPENVINO:
                raise
            say_once(f"{error}; {name} runs in torch")
            return load_trained(Path(name), partial(load_encoder, runtime=TORCH))
        return encoder
    return _in_torch(name) if wanted == TORCH else _exported(name, wanted, pictures)


def _in_torch(name: str) -> DualEncoder:
    if name == STARTER:
        from retrieval.encoders.starter import load_starter

        return load_starter()
    from retrieval.encoders.openclip import load_open_clip

    return load_open_clip(name)


def _exported(name: str, wanted: str, pictures: int) -> DualEncoder:
    """On OpenVINO if there is an export, or one is to be made; else in torch."""
    from retrieval.errors import ExportError
    from retrieval.runtime.choose import EXPORT_PAYS, OPENVINO, export_now, remember_spelling, reopened, say_once

    make = wanted == OPENVINO or pictures >= EXPORT_PAYS

    def there(spelled: str) -> DualEncoder | None:
        try:
            return reopened(spelled)
        except ExportError as error:
            say_once(f"{error}; {'it is made again' if make else f'{name} runs in torch'}. {error.hint}")
            return None

    if (found := there(name)) is not None:
        return found
    encoder = _in_torch(name)
    canonical = encoder.spec.name
    if canonical != name:
        remember_spelling(name, encoder)
        if (found := there(canonical)) is not None:
            return found
    if make and export_now(encoder, required=wanted == OPENVINO):
        found = reopened(canonical)
        if canonical != name:
            remember_spelling(name, encoder)
        if found is None and wanted == OPENVINO:
            raise ExportError(f"the export of {canonical} is not found again", hint="use --runtime torch")
        return found or encoder
    return encoder
