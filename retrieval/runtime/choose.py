"""From what was asked for, `torch`, `openvino` or `auto`, to towers that run."""

import logging
from pathlib import Path
from typing import Any, cast

from retrieval.encoders import STARTER
from retrieval.encoders.base import DualEncoder
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
    """A model without heads trained here, or the starter, on its export; None if it has none that is good for it.

    Raises ExportError if the export is damaged.
    """
    key = key_of_model(name)
    export = store.find(key) if key else None
    if export is None:
        return None
    from retrieval.runtime.reopen import towers_of_export

    towers: Any = towers_of_export(export)
    if name != STARTER:
        return cast("DualEncoder", towers)  # a whole encoder, whose features are its vectors
    from retrieval.encoders.starter import load_starter

    encoder = load_starter(towers=towers)
    return encoder if heads_agree(encoder) else None


def heads_agree(encoder: ProjectedEncoder) -> bool:
    """Do heads that were trained after the export end up where they would with torch? True if nothing was exported.

    A head may stretch what differs; so each pair passes the gate too, on the features that the export kept.
    """
    try:
        export = store.find(store.key_of(encoder.towers))
        if export is None:
            return True
        if export.passed(encoder.spec.fingerprint):
            return True
        from safetensors.numpy import load_file

        from retrieval.runtime.export import SIDES, vectors
        from retrieval.runtime.gate import EXACT, agreement

        bank = load_file(export.file(store.BANK))
    except ExportError:
        return False
    for side in SIDES:
        one = agreement(*(vectors(encoder, side, bank[f"{side}.{runtime}"]) for runtime in ("torch", "exported")))
        if not one.reaches(EXACT):
            say_once(
                f"{encoder.spec.name} runs in torch: with its heads, {side} vectors on OpenVINO have a cosine of "
                f"{one.lowest:.5f} with torch's; at least {EXACT} is asked for"
            )
            return False
    export.note_passed(encoder.spec.fingerprint)
    return True


def runtime_of(name: str) -> str:
    """What a model would run on under `auto`, in words, without loading it: `openvino (image f32, text bf16)`."""
    try:
        key = key_of_model(name)
        export = store.find(key) if key else None
        if export is None:
            return TORCH
        export.check()
    except EncoderError as error:
        return f"{TORCH} ({error})"
    graphs = ", ".join(f"{graph} {facts['precision']}" for graph, facts in export.manifest["graphs"].items())
    return f"{OPENVINO} ({graphs})"


def export_now(encoder: DualEncoder, *, required: bool) -> bool:
    """Export an encoder that is loaded in torch. False if that failed and it is not required; then says why, once.

    Raises EncoderError or StorageError if it is required.
    """
    from retrieval.runtime.export import export

    say_once(f"exporting {encoder.spec.name} to OpenVINO, once (half a minute or so)")
    try:
        export(encoder)
    except (EncoderError, StorageError) as error:
        if required:
            raise
        say_once(f"{encoder.spec.name} runs in torch: {error}")
        return False
    return True
