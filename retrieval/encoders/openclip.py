"""Any open_clip model as a `DualEncoder` in torch. The only module that imports open_clip; import it lazily."""

import difflib
import hashlib
import importlib.util
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from retrieval.encoders import hub
from retrieval.encoders.base import EncoderSpec
from retrieval.encoders.clip import ClipEncoder
from retrieval.encoders.clip_export import write_tokenizer
from retrieval.encoders.clip_modules import (
    TEXT_TOKENS,
    can_be_trimmed,
    cells_source,
    graph_sources,
    token_grid,
    token_sources,
    token_widths,
)
from retrieval.encoders.clip_pixels import middle
from retrieval.encoders.clip_reranking import TokenGraphs
from retrieval.encoders.towers.graphs import torch_graph
from retrieval.errors import CatalensError, EncoderError, UnknownModel, WeightsUnavailable

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
_CONFIG_HINT = "copy it again from the model's hub page; one that open_clip wrote has model_cfg in it"
_PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt"})
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


@dataclass(frozen=True)
class _Source:
    """A name resolved to what open_clip builds from.

    name: the name that loads it again.
    model: open_clip's own name for the configuration: an architecture or `local-dir:…`.
    config: `embed_dim`, `vision_cfg`, `text_cfg`.
    weights: a safetensors file, or None when open_clip finds it in the local folder.
    preprocess: what the pretrained tag says on top of the configuration.
    files: all that the model is made of; while none of them changes, it is the same model.
    """

    name: str
    model: str
    config: Mapping[str, Any]
    weights: Path | None = None
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    quick_gelu: bool = False
    files: tuple[Path, ...] = ()


def load_open_clip(name: str) -> ClipEncoder:
    """The model of that name (see `load_encoder`) on the CPU in float32. Both towers come with one file."""
    source = _resolve(name)
    try:
        model = open_clip.create_model(
            source.model,
            pretrained=str(source.weights) if source.weights else None,
            # Weights trained with QuickGELU lose points without it, and no shape would tell; the tag knows.
            force_quick_gelu=source.quick_gelu,
            force_preprocess_cfg=dict(source.preprocess),
        )
        tokenizer = open_clip.get_tokenizer(source.model)
        return _encoder(source, model.eval(), tokenizer)
    except CatalensError:
        raise
    except Exception as error:  # open_clip, timm, torch and safetensors raise what they like on files they dislike
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise EncoderError(
            f"{source.name} cannot be built: {reason}",
            hint="check that the configuration and the weights belong together",
        ) from error


def _encoder(source: _Source, model: Any, tokenizer: Any) -> ClipEncoder:
    preprocessing = dict(open_clip.get_model_preprocess_cfg(model))
    size = preprocessing["size"]
    height, width = (size, size) if isinstance(size, int) else size
    text = source.config["text_cfg"]
    spec = EncoderSpec(
        name=source.name,
        weights_hash=_hash_of(model, quick_gelu=source.quick_gelu),
        tokenizer=json.dumps(
            {
                "source": text.get("hf_tokenizer_name", "clip-bpe"),
                "context": tokenizer.context_length,
                "options": text.get("tokenizer_kwargs", {}),
            },
            sort_keys=True,
        ),
        dimension=int(source.config["embed_dim"]),
        # through JSON, so that a spec equals the one that was stored: tuples become lists
        preprocessing=json.loads(json.dumps(preprocessing | {"size": (int(height), int(width))})),
    )
    sources = graph_sources(model, spec, trimmed=can_be_trimmed(model))
    cells = cells_source(model, spec)
    return ClipEncoder(
        spec,
        pixels=_pixels(preprocessing),
        tokens=lambda texts: tokenizer(list(texts)).numpy(),
        graphs={name: torch_graph(each) for name, each in sources.items()},
        trimmed=can_be_trimmed(model),
        sources=sources,
        unpack=lambda folder: write_tokenizer(folder, tokenizer, Path(open_clip.tokenizer.default_bpe())),
        files=source.files,
        cells=torch_graph(cells) if cells else None,
        token_graphs=_token_graphs(model, spec),
    )


def _token_graphs(model: Any, spec: EncoderSpec) -> TokenGraphs | None:
    sources, grid = token_sources(model, spec), token_grid(model)
    if sources is None or grid is None:
        return None
    image_width, text_width = token_widths(model)
    return TokenGraphs(
        image=torch_graph(sources["image"]),
        text=torch_graph(sources["text"]),
        places=grid[0] * grid[1],
        image_width=image_width,
        text_width=text_width,
        longest=min(TEXT_TOKENS, int(model.context_length)),
    )


def _pixels(preprocessing: Mapping[str, Any]) -> Callable[[Image.Image], npt.NDArray[np.uint8]]:
    """open_clip's transform is resize and crop steps on the picture, then to tensor, then normalise."""
    steps = image_transform_v2(PreprocessCfg(**preprocessing), is_train=False).transforms[:-2]

    def prepare(image: Image.Image) -> npt.NDArray[np.uint8]:
        image = middle(image)
        for step in steps:
            image = step(image)
        return np.asarray(image, dtype=np.uint8)

    return prepare


def _hash_of(model: Any, *, quick_gelu: bool) -> str:
    """SHA-256 over names, types, shapes and bytes of all tensors, and the activation: same weights, other vectors."""
    digest = hashlib.sha256(f"quick_gelu={quick_gelu}".encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()


def _resolve(name: str) -> _Source:
    if name.startswith("hf-hub:"):
        return _hub(name)
    if name.startswith(("local-dir:", ".", "~")) or Path(name).is_absolute():
        return _folder(Path(name.removeprefix("local-dir:")))
    architecture, tag = _split(name)
    if architecture in open_clip.list_models():
        return _pretrained(name, architecture, tag)
    if name and Path(name).is_dir():
        return _folder(Path(name))
    raise _unknown(name)


def _split(name: str) -> tuple[str, str]:
    """Architecture and pretrained tag; the tag is empty when the name has none. `ViT-B/32` is ViT-B-32."""
    dashed = name.replace("/", "-")
    if dashed in open_clip.list_models():
        return dashed, ""
    for separator in ("::", ",", ":"):
        architecture, found, tag = name.partition(separator)
        if found:
            return architecture.strip().replace("/", "-"), tag.strip()
    architecture, _, tag = name.rpartition("/")
    return architecture.replace("/", "-"), tag


def _pretrained(name: str, architecture: str, tag: str) -> _Source:
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if not tag:
        choices = ", ".join(f"{architecture}/{each}" for each in tags) or "none is published"
        raise UnknownModel(
            f"{architecture} is an architecture; a model is an architecture with its weights",
            hint=f"name the weights too: {choices}",
        )
    known = open_clip.get_pretrained_cfg(architecture, tag)
    if not known:
        raise _unknown(name)
    canonical = f"{architecture}/{tag.lower().replace('-', '_')}"
    config = open_clip.get_model_config(architecture)
    _check_packages(canonical, config)
    repo, _, filename = known.get("hf_hub", "").rpartition("/")
    if not repo:
        raise WeightsUnavailable(
            f"{canonical} is published as a pickle only, which can run any code when loaded",
            hint=hub.NO_DOWNLOAD_HINT,
        )
    weights = hub.fetch(repo, str(Path(filename).with_suffix(".safetensors")) if filename else WEIGHTS)
    return _Source(
        name=canonical,
        model=architecture,
        config=config,
        weights=weights,
        files=(weights, *_revision(weights)),
        preprocess={
            key: value for key, value in known.items() if key in ("mean", "std", "interpolation", "resize_mode")
        },
        quick_gelu=bool(known.get("quick_gelu", config.get("quick_gelu", False))),
    )


def _hub(name: str) -> _Source:
    repo = name.removeprefix("hf-hub:")
    config = hub.fetch(repo, CONFIG)
    hub.fetch(repo, WEIGHTS)
    if "hf_tokenizer_name" in _read_config(config)["text_cfg"]:
        for filename in _TOKENIZER_FILES:
            hub.fetch(repo, filename)
    return _local(name, config.parent)


def _folder(given: Path) -> _Source:
    folder = given.expanduser().resolve()
    if not folder.exists():
        raise UnknownModel(f"there is no folder {folder}", hint="`catalens models` lists models by name")
    if folder.is_file():
        raise EncoderError(f"{folder} is a file; a model is a folder", hint=f"put {CONFIG} and {WEIGHTS} into one")
    if not (folder / CONFIG).is_file():
        raise EncoderError(f"{folder} has no {CONFIG}", hint="it comes with the weights, on the model's hub page")
    if not (folder / WEIGHTS).is_file():
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLES)
        if pickles:
            raise EncoderError(
                f"{folder} holds its weights as a pickle ({pickles[0]}), which can run any code when loaded",
                hint=f'if you trust it, convert it once: python -c "import torch, safetensors.torch as s; '
                f"s.save_file(torch.load('{pickles[0]}', weights_only=True), '{WEIGHTS}')\"",
            )
        raise WeightsUnavailable(f"{folder} has no {WEIGHTS}", hint="copy it there from the model's hub page")
    return _local(str(folder), folder)


def _local(name: str, folder: Path) -> _Source:
    config = _read_config(folder / CONFIG)
    _check_packages(name, config)
    files = [folder / each for each in (CONFIG, WEIGHTS, *_TOKENIZER_FILES)]
    return _Source(
        name=name,
        model=f"local-dir:{folder}",
        config=config,
        quick_gelu=bool(config.get("quick_gelu", False)),
        files=(*(path for path in files if path.is_file()), *_revision(folder / WEIGHTS)),
    )


def _revision(weights: Path) -> list[Path]:
    """For a file in the hub's cache, the file that says which revision is meant: `…/refs/main`."""
    main = weights.parents[2] / "refs" / "main" if len(weights.parents) > 2 else weights
    return [main] if weights.parent.parent.name == "snapshots" and main.is_file() else []


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        config = json.loads(text)["model_cfg"]
        missing = [key for key in ("embed_dim", "vision_cfg", "text_cfg") if key not in config]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EncoderError(f"{path} is not an open_clip configuration: {error!r}", hint=_CONFIG_HINT) from error
    if missing:
        raise EncoderError(f"{path} is not an open_clip configuration: {', '.join(missing)} missing", hint=_CONFIG_HINT)
    if "trust_remote_code" in text:
        raise EncoderError(
            f"{path} asks to run code that came with the model (trust_remote_code); refused",
            hint="choose a model that needs no code of its own; `catalens models` lists well-known ones",
        )
    return dict(config)


def _check_packages(name: str, config: Mapping[str, Any]) -> None:
    text = config["text_cfg"]
    if ("hf_tokenizer_name" in text or "hf_model_name" in text) and not importlib.util.find_spec("transformers"):
        raise EncoderError(f"{name} needs the package transformers", hint="pip install transformers")


def _unknown(name: str) -> UnknownModel:
    known = ["starter", *(f"{model}/{tag}" for model, tag in open_clip.list_pretrained())]
    near = difflib.get_close_matches(name.replace("::", "/").replace(",", "/"), known, n=1, cutoff=0.5)
    guess = f"did you mean {near[0]}? " if near else ""
    return UnknownModel(f"no model goes by the name {name!r}", hint=f"{guess}`catalens models` lists well-known ones")
