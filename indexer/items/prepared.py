"""What a put encodes: each picture's bytes and each text once, before the collection is locked."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from indexer.changes import EncodedPhoto
from indexer.encoding import Decoded, Encoding, as_stored
from retrieval.errors import ImageError
from retrieval.images import decode, read_file

T = TypeVar("T")
Origin = Path | bytes  # where a picture's bytes are


@dataclass
class Prepared:
    """Results by what they were made of; asked again for the same, it makes nothing.

    at_once: pictures or texts that are encoded together. photos: by hex SHA-256 of the file's bytes what is stored,
    or why there is nothing. texts: (vector, tokens).
    """

    encoding: Encoding
    pool: Executor
    max_pixels: int
    at_once: int
    photos: dict[str, EncodedPhoto | str] = field(default_factory=dict)
    texts: dict[str, tuple[bytes, bytes | None]] = field(default_factory=dict)

    def encode_photos(self, origins: Mapping[str, Origin]) -> None:
        """Decode and encode the pictures, by hash, that it does not have yet."""
        wanted = [(name, origin) for name, origin in origins.items() if name not in self.photos]
        for some in _pieces(wanted, self.at_once):
            found = list(self.pool.map(partial(_decoded, self.encoding, self.max_pixels), some))
            ready = []
            for (name, _), one in zip(some, found, strict=True):
                if isinstance(one, Decoded):
                    ready.append((name, one))
                else:
                    self.photos[name] = one
            if ready:
                self._encode(ready)

    def encode_texts(self, contents: Iterable[str]) -> None:
        """Encode the texts that it does not have yet."""
        wanted = [content for content in dict.fromkeys(contents) if content not in self.texts]
        for some in _pieces(wanted, self.at_once):  # a search whose words wait for the same tower comes between
            vectors, tokens = self.encoding.texts(some)
            # A text that the model cannot place becomes a zero vector: it is stored, and its score is 0 with any query.
            usable = np.nan_to_num(vectors, nan=0, posinf=0, neginf=0)
            for content, vector, data in zip(some, usable, tokens, strict=True):
                self.texts[content] = (as_stored(vector), data)

    def _encode(self, ready: Sequence[tuple[str, Decoded]]) -> None:
        vectors, tokens = self.encoding.images(np.stack([one.pixels for _, one in ready]))
        for (name, one), vector, data in zip(ready, vectors, tokens, strict=True):
            usable = bool(np.isfinite(vector).all())
            encoded = EncodedPhoto(one.width, one.height, as_stored(vector), data) if usable else None
            self.photos[name] = encoded or "the model gave no usable vector"


def _decoded(encoding: Encoding, max_pixels: int, wanted: tuple[str, Origin]) -> Decoded | str:
    """The pixels of a picture, or why there are none. Runs in a worker thread."""
    content_hash, origin = wanted
    encoder = encoding.encoder
    try:
        data = origin if isinstance(origin, bytes) else read_file(origin)
        if not isinstance(origin, bytes) and hashlib.sha256(data).hexdigest() != content_hash:
            return "changed while it was read"
        picture = decode(data, target=encoder.image_size, max_pixels=max_pixels)
        return Decoded(encoder.preprocess(picture.image), picture.width, picture.height)
    except ImageError as error:
        return str(error)
    except Exception as error:  # one picture that the preprocessing cannot take must not fail the other items
        return f"cannot be prepared: {type(error).__name__}: {error}"


def _pieces(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (values[start : start + size] for start in range(0, len(values), size))
