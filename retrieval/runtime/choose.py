"""From what was asked for, `torch`, `openvino` or `auto`, to towers that run."""

import logging
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from retrieval.encoders.base import STARTER, DualEncoder
from retrieval.encoders.projected import ProjectedEncoder
from retrieval.encoders.trained import is_trained, read_facts
from retrieval.errors import EncoderError, ExportError, QueryError, StorageError
from retrieval.runtime import names, store
from retrieval.settings import runtime as runtime_setting

TORCH, OPENVINO, AUTO = "torch", "openvino", "auto"
RUNTIMES = (AUTO, OPENVINO, TORCH)
EXPORT_PAYS = 1_000
"""Pictures from which an export made on the way costs less than it saves: about 20 s against 20 ms a picture."""

_log = logging.getLogger("catalens")
_said: set[str] = set()


def chosen(runtime: str | None) -> str:
    """What was asked for, or what the environment says. Raises QueryError for any other word."""
    found = (runtime or runtime_setting()).strip().lower()
    if found not in RUNTIMES:
        raise QueryError(f"there is no runtime {found!r}", hint=f"choose one of {', '.join(RUNTIMES)}")
    return found


def say_once(message: str) -> None:
    """Warn, once in a process. Without any set-up, Python writes it to stderr."""
    if message not in _said:
        _said.add(message)
        _log.warning(message)


def key_of_model(name: str) -> str | None:
    """The export of a model by its name, without loading it; None if it has none."""
    if name == STARTER:
        from retrieval.encoders.starter import StarterTowers

        return store.key_of(StarterTowers())
    if is_trained(folder := Path(name).expanduser()):
        base = str(read_facts(folder)["base"])
        return None if is_trained(Path(base).expanduser()) else key_of_model(base)
    return names.key_for(name)


def reopened(name: str) -> DualEncoder | None:
    """A model without heads trained here, or the starter, on its export; None if it has none.

    Raises ExportError if the export is damaged, was judged on another machine, or gives this encoder other vectors.
    """
    key = key_of_model(name)
    export = store.find(key) if key else None
    if export is None:
        return None
    from retrieval.runtime.reopen import towers_of_export

    towers: Any = towers_of_export(export)
    encoder = cast("DualEncoder", towers)  # a whole encoder, whose features are its vectors
    if name == STARTER:
        from retrieval.encoders.starter import load_starter

        encoder = load_starter(towers=towers)
    require_agreement(encoder)
    return encoder


def runs_on(encoder: DualEncoder) -> str:
    """`openvino` if its towers are those of an export, else `torch`."""
    towers: Any = encoder.towers if isinstance(encoder, ProjectedEncoder) else encoder
    towers = getattr(towers, "encoder", towers)
    sources = getattr(towers, "graph_sources", None)
    return OPENVINO if sources is not None and not sources() else TORCH


def require_agreement(encoder: DualEncoder) -> None:
    """Raise ExportError if an encoder on an export ends up elsewhere than in torch.

    An export may have been judged behind other heads, and a head may stretch what differs or hide it: so each encoder
    passes the gate once, on the features that the export kept.
    """
    towers: Any = encoder.towers if isinstance(encoder, ProjectedEncoder) else encoder
    export = store.find(store.key_of(towers))
    if runs_on(encoder) == TORCH or export is None or export.passed(encoder.spec.fingerprint):
        return
    from safetensors.numpy import load_file

    from retrieval.runtime.export import SIDES, vectors
    from retrieval.runtime.gate import EXACT, agreement

    bank = load_file(export.file(store.BANK))
    for side in SIDES:
        one = agreement(*(vectors(encoder, side, bank[f"{side}.{runtime}"]) for runtime in ("torch", "exported")))
        if not one.reaches(EXACT):
            raise ExportError(
                f"the {side} vectors of {encoder.spec.name} on OpenVINO have a cosine of {one.lowest:.5f} with "
                f"torch's; at least {EXACT} is asked for",
                hint="use --runtime torch",
            )
    export.note_passed(encoder.spec.fingerprint)


def remember_spelling(name: str, encoder: DualEncoder) -> None:
    """Another name was given for a model that has an export: next time it is found without loading the model."""
    key = names.key_for(encoder.spec.name)
    if key is not None and (files := getattr(encoder, "files", ())):
        with suppress(OSError):  # where the cache cannot be written, the model is loaded again next time
            names.remember(name, files, key)


def runtime_of(name: str) -> str:
    """What a model would run on, in words, without loading it: `openvino (image f32, text bf16)`."""
    try:
        wanted = chosen(None)
    except QueryError as error:
        return f"none ($CATALENS_RUNTIME: {error})"
    if wanted == TORCH:
        return f"{TORCH} ($CATALENS_RUNTIME)"
    try:
        key = key_of_model(name)
        export = store.find(key) if key else None
        if export is None:
            return TORCH if wanted == AUTO else f"{OPENVINO} ($CATALENS_RUNTIME; exported when it is next used)"
        export.check()
    except EncoderError as error:
        return f"{TORCH} ({error})" if wanted == AUTO else f"{OPENVINO} (exported again when next used: {error})"
    from retrieval.runtime.reopen import in_words

    return in_words(export)


def export_now(encoder: DualEncoder, *, required: bool) -> bool:
    """Export an encoder that is loaded in torch. False if that failed and it is not required; then says why, once.

    What was refused on this machine is not tried again unless it is required.

    Raises EncoderError or StorageError if it is required.
    """
    from retrieval.runtime.export import export

    if not required and (reason := store.refusal(encoder)):
        say_once(f"{encoder.spec.name} runs in torch: {reason}. To try again: catalens export")
        return False
    say_once(f"exporting {encoder.spec.name} to OpenVINO, once (half a minute or so)")
    try:
        export(encoder)
    except (EncoderError, StorageError) as error:
        if required:
            raise
        say_once(f"{encoder.spec.name} runs in torch: {error}")
        return False
    return True
