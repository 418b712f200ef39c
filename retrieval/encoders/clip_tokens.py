"""Texts as CLIP's tokenizer cuts them (byte pair encoding, Sennrich et al. 2016, arXiv:1508.07909), without torch.

Ids equal those of open_clip's `SimpleTokenizer`; each export compares the two on a bank of awkward texts.
"""

import gzip
import html
import itertools
import re
import string
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from retrieval.errors import EncoderError

CLEANINGS = ("lower", "whitespace", "canonicalize")
_MERGES = 49152 - 256 - 2  # rules of the published vocabulary; the file has more lines
_WORD_END = "</w>"
_SPECIAL = ("<start_of_text>", "<end_of_text>")
# Nothing that ftfy or html.unescape would change: both are skipped, which saves importing them (40 ms).
_PLAIN = re.compile(r"[ -%'-~]*")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def write_vocabulary(path: Path, published: Path) -> None:
    """Write the merge rules of open_clip's gzipped vocabulary, one a line, as `Tokens` reads them."""
    lines = gzip.decompress(published.read_bytes()).decode("utf-8").split("\n")[1 : _MERGES + 1]
    path.write_text("\n".join(lines), encoding="utf-8")


class Tokens:
    """Cuts texts. Opens in 25 ms; safe to use from many threads.

    vocabulary: a file of merge rules. context: ids for each text. cleaning: one of `CLEANINGS`.
    """

    def __init__(self, vocabulary: Path, *, context: int, cleaning: str = "lower") -> None:
        try:
            rules = vocabulary.read_text(encoding="utf-8").split("\n")
        except (OSError, ValueError) as error:
            raise EncoderError(f"cannot read the vocabulary {vocabulary}: {error}", hint="export again") from error
        if cleaning not in CLEANINGS:
            raise EncoderError(f"texts are cleaned by {cleaning!r}, which is not known", hint="use --runtime torch")
        self.context = context
        self._cleaning = cleaning
        self._characters = _byte_characters()
        self._rank = {rule: rank for rank, rule in enumerate(rules)}
        alphabet = sorted(self._characters.values())
        words = [*alphabet, *(character + _WORD_END for character in alphabet)]
        words += [rule.replace(" ", "") for rule in rules]
        words += _SPECIAL
        self._id = {word: place for place, word in enumerate(words)}  # of two equal words the later, as published
        self.start, self.end = (self._id[word] for word in _SPECIAL)
        self._cut = lru_cache(maxsize=20_000)(self._byte_pairs)
        self._pattern = _pattern()

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """Texts -> int64 [n, context]: start, ids, end, zeros; a longer text is cut off and ends with end."""
        rows = np.zeros((len(texts), self.context), dtype=np.int64)
        for row, text in zip(rows, texts, strict=True):
            ids = [self.start, *self._ids(text), self.end][: self.context]
            if len(ids) == self.context:
                ids[-1] = self.end
            row[: len(ids)] = ids
        return rows

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = []
        for word in self._pattern.findall(self._clean(text)):
            if word in _SPECIAL:
                ids.append(self._id[word])
            else:
                ids += self._cut("".join(self._characters[byte] for byte in word.encode()))
        return ids

    def _clean(self, text: str) -> str:
        if not _PLAIN.fullmatch(text):
            import ftfy

            text = html.unescape(html.unescape(ftfy.fix_text(text)))
        if self._cleaning == "canonicalize":
            text = text.strip().replace("_", " ").translate(_NO_PUNCTUATION).lower()
        text = " ".join(text.split())
        return text.lower() if self._cleaning == "lower" else text

    def _byte_pairs(self, word: str) -> tuple[int, ...]:
        """Join the pair with the best rule, everywhere it occurs, until no rule fits."""
        parts = [*word[:-1], word[-1] + _WORD_END]
        while len(parts) > 1:
            ranks = [self._rank.get(f"{a} {b}", _MERGES) for a, b in itertools.pairwise(parts)]
            best = min(ranks)
            if best == _MERGES:
                break
            joined, place = [], 0
            while place < len(parts):
                # A place that was joined is behind us, so that of three equal parts the first two are joined.
                step = 2 if place < len(ranks) and ranks[place] == best else 1
                joined.append("".join(parts[place : place + step]))
                place += step
            parts = joined
        return tuple(self._id[part] for part in parts)


def _pattern() -> "re.Pattern[str]":
    # `regex` and not `re`: letters and digits by their Unicode class. It comes with open_clip.
    import regex

    special = "|".join(_SPECIAL)
    compiled: re.Pattern[str] = regex.compile(
        rf"{special}|'s|'t|'re|'ve|'m|'ll|'d|[\p{{L}}]+|[\p{{N}}]|[^\s\p{{L}}\p{{N}}]+", regex.IGNORECASE
    )
    return compiled


@lru_cache(maxsize=1)
def _byte_characters() -> dict[int, str]:
    """A visible character for each of the 256 bytes: itself where it is one, else one from U+0100 on."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {byte: chr(0x100 + place) for place, byte in enumerate(hidden)}
