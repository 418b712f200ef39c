"""Photos as small pictures of our own making: never a file's own bytes, and nothing of its notes."""

import io
from collections import OrderedDict
from threading import Lock
from typing import Literal

from PIL import Image

from api.http.photo_files import picture_of
from retrieval.catalogue.photo_queries import PhotoRow

SIZES = (160, 320, 640, 1280)
"""Longest sides in pixels that are made. A few steps, so that what one visitor asked for serves the next."""

CAPACITY = 64 * 2**20  # bytes: at 320 pixels, 15 kB each, the photos of about 4,000 hits

Kind = Literal["webp", "jpeg"]

# At 320 pixels product photos take 9 kB as WebP and 14 kB as JPEG at these; method 4 is Pillow's own choice.
_QUALITY = {"webp": 80, "jpeg": 82}


def snapped(size: int) -> int:
    """The size that is made for one that was asked for: the next larger, or the largest."""
    return next((step for step in SIZES if step >= size), SIZES[-1])


def kind_for(accept: str) -> Kind:
    """WebP for who names it in an Accept header, JPEG for all others, also for `*/*`: every program reads JPEG."""
    for part in accept.lower().split(","):
        name, *parameters = (each.strip() for each in part.split(";"))
        if name == "image/webp" and not any(_is_zero(each) for each in parameters):
            return "webp"
    return "jpeg"


def _is_zero(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.strip() == "q" and value.strip().rstrip("0") in ("", "0.")


def etag(photo: PhotoRow, size: int, kind: Kind) -> str:
    """What a client keeps to ask whether its copy is still right. size: one of `SIZES`."""
    return f'"{photo.content_hash[:32]}-{size}-{kind}"'


def is_known(tag: str, if_none_match: str | None) -> bool:
    """Does an If-None-Match header name this ETag? Weak tags count: the bytes are the same or the tag is not."""
    given = [each.strip().removeprefix("W/") for each in (if_none_match or "").split(",")]
    return tag in given or "*" in given


class Thumbnails:
    """Makes thumbnails and keeps the last of them in memory, the longest unused dropped first. Thread-safe.

    capacity: bytes that are kept at most. held: bytes kept now.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._made: OrderedDict[tuple[str, int, Kind], bytes] = OrderedDict()
        self._changing = Lock()
        self.held = 0

    def of(self, photo: PhotoRow, size: int, kind: Kind) -> bytes:
        """The bytes of a picture whose longest side is `size` pixels, one of `SIZES`, or the photo's own if smaller.

        Raises ImageError as `picture_of` does.
        """
        key = (photo.content_hash, size, kind)
        with self._changing:
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
        made = _thumbnail(photo, size, kind)
        with self._changing:
            if key not in self._made and len(made) <= self._capacity:
                self._made[key] = made
                self.held += len(made)
                while self.held > self._capacity:
                    self.held -= len(self._made.popitem(last=False)[1])
        return made


def _thumbnail(photo: PhotoRow, size: int, kind: Kind) -> bytes:
    image = picture_of(photo, size).image
    image.thumbnail((size, size), Image.Resampling.LANCZOS)  # never enlarges
    return encoded(image, kind)


def encoded(image: Image.Image, kind: Kind) -> bytes:
    """A picture as WebP or JPEG, its pixels alone."""
    out = io.BytesIO()
    image.save(out, kind.upper(), quality=_QUALITY[kind], **({"progressive": True} if kind == "jpeg" else {}))
    return out.getvalue()
