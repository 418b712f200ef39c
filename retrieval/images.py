"""Picture bytes from anywhere -> an upright RGB picture, or one short reason why not.

Everything about a file is hostile until checked: the format comes from its first bytes and only that format's
decoder sees it, the size in pixels comes from the header and is capped before any pixel is unpacked.
"""

import io
import math
import stat
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from retrieval.errors import ImageError
from retrieval.room import Room

SUFFIXES: frozenset[str] = frozenset(
    {".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif"}
)
"""File name endings, in lower case, that a folder scan takes as photos. Decoding looks at the bytes only."""

# How much larger than the encoder's picture a JPEG stays when it is unpacked at 1/2, 1/4 or 1/8. Unpacking and resizing
# 54 product photos of 1,600 px to 224 takes 12.6 ms of a core in full, 4.8 at a margin of 2 and 2.6 at 1.15. The price
# is an error of 0.7 of 255 instead of 0.4, and a cosine of the starter's embedding to that of the full picture of .997
# instead of .999: less than Lanczos for bicubic (.997) or cutting 7 px off two edges (.989) would change. Flickr8k
# success@1 is 15.1 % at 1/4 and 15.4 % in full, success@10 52.2 and 53.0 % (and 15.5, 53.1 against 15.4, 52.9 where the
# photos are a fifth smaller): noise. A photo left at exactly the target has .992.
DRAFT_MARGIN = 1.15

MAX_PIXELS = 40_000_000
MAX_BYTES = 256 * 2**20

# Pixels that all threads together unpack at once. One takes 9 bytes on its way from RGBA to RGB, so the largest picture
# 350 MB: sixteen uploads of 170 kB to a server took 7 GB.
UNPACKED = Room(2 * MAX_PIXELS)

# Pillow's own cap answers with a warning first, and `warnings.catch_warnings` changes the whole process: of
# many decoding threads one would switch it off for another. `_check_size` is the cap instead, for each call.
Image.MAX_IMAGE_PIXELS = None

_MAGIC: Mapping[bytes, str] = {
    b"\xff\xd8\xff": "JPEG",  # an MPO (two pictures from a stereo camera) starts like this too
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",  # BigTIFF
    b"MM\0+": "TIFF",
}
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_NOT_PICTURES: Mapping[bytes, str] = {
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a ZIP archive or an office document",
}

# EXIF 2.32, tag 0x0112: how the stored pixels must be turned to stand upright.
_UPRIGHT: Mapping[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = frozenset({5, 6, 7, 8})

_heif_lock = threading.Lock()


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    image: RGB, upright, alpha laid on white; may be smaller than the original if a target was given.
    width, height: of the whole original in pixels, upright.
    """

    image: Image.Image
    width: int
    height: int


def decode_file(path: Path, *, target: int | None = None, max_pixels: int = MAX_PIXELS) -> Picture:
    """`decode` of a file of at most 256 MiB. The message of an ImageError leaves the path out."""
    return decode(read_file(path), target=target, max_pixels=max_pixels)


def read_file(path: Path) -> bytes:
    """A picture file's bytes, undecoded. Raises ImageError for what is not an ordinary file of 1 byte to 256 MiB."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageError("a folder, not a file")
        if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
            raise ImageError("not an ordinary file")
        _check_bytes(status.st_size)
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ImageError("no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ImageError(f"cannot be read: {reason}") from error


def decode(data: bytes, *, target: int | None = None, max_pixels: int = MAX_PIXELS) -> Picture:
    """One picture out of a file's bytes: of an animation the first frame, of several pages the first.

    target: side in pixels of what the encoder needs. A JPEG is then unpacked at 1/2, 1/4 or 1/8 as long as
        its shorter side stays at least 1.15 times that (`DRAFT_MARGIN`).
    max_pixels: cap on width × height, checked before any pixel is unpacked.

    Raises ImageError, whatever the bytes are. Thread-safe: threads with large pictures wait for each other.
    """
    _check_bytes(len(data))
    kind = _kind(data)
    if kind == "HEIF":
        _register_heif()
    try:
        with Image.open(io.BytesIO(data), formats=[kind]) as file:
            return _unpack(file, target, max_pixels)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"damaged {kind}: its header makes no sense") from error
    except MemoryError as error:
        raise ImageError(f"not enough memory to unpack this {kind}") from error
    except Exception as error:  # beside OSError: ValueError, RuntimeError, IndexError, struct.error …
        truncated = isinstance(error, EOFError) or "truncated" in str(error).lower()
        raise ImageError(f"truncated {kind}" if truncated else f"damaged {kind}") from error


def _check_bytes(count: int) -> None:
    if count == 0:
        raise ImageError("the file is empty")
    if count > MAX_BYTES:
        raise ImageError(f"the file is larger than {MAX_BYTES >> 20} MiB")


def _kind(data: bytes) -> str:
    """The format, by Pillow's name for it, that the first bytes announce."""
    for magic, kind in _MAGIC.items():
        if data.startswith(magic):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        # `mif1` says "some HEIF"; the compatible brands that follow the major one tell AVIF apart.
        brands = {data[i : i + 4] for i in range(8, min(int.from_bytes(data[:4]), 256), 4)}
        if brands & _AVIF_BRANDS:
            return "AVIF"
        if brands & _HEIF_BRANDS:
            return "HEIF"
    raise ImageError(f"not a picture ({_looks_like(data)})")


def _looks_like(data: bytes) -> str:
    for magic, name in _NOT_PICTURES.items():
        if data.startswith(magic):
            return f"it starts like {name}"
    start = data[:256]
    if all(byte >= 32 or byte in b"\t\n\f\r" for byte in start):
        try:
            start.decode("utf-8")
        except UnicodeDecodeError as error:
            if error.start < len(start) - 3:  # else the cut at 256 went through a character
                return "its format is unknown"
        return "it starts like a text file"
    return "its format is unknown"


def _register_heif() -> None:
    """Teach Pillow HEIF. On first need: its library costs 30 MB, and most collections have none."""
    from pillow_heif import register_heif_opener

    with _heif_lock:
        register_heif_opener()


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    pixels = size[0] * size[1]
    if pixels > max_pixels:
        found, cap = _mega(pixels), _mega(max_pixels)
        raise ImageError(f"unpacks to {found} megapixels; the cap is {cap}; raise it with --max-pixels")


def _mega(pixels: int) -> str:
    return f"{math.ceil(pixels / 1e5) / 10:,.1f}".removesuffix(".0")


def _unpack(file: Image.Image, target: int | None, max_pixels: int) -> Picture:
    _check_size(file.size, max_pixels)
    width, height = file.size
    drafted = None
    if target and file.format in ("JPEG", "MPO"):
        side = math.ceil(DRAFT_MARGIN * target)
        drafted = file.draft(None, (side, side))
    with UNPACKED.held(file.width * file.height):  # of a shrunk JPEG, what it was shrunk to
        file.load()
        image = upright(file, keep=_whole_part(drafted[1]) if drafted else None)
    if _orientation(file) in _SIDEWAYS:
        width, height = height, width
    return Picture(image=image, width=width, height=height)


def _whole_part(box: tuple[float, float, float, float]) -> tuple[int, int]:
    """The size of a shrunk JPEG without a last column or row of which less than half is picture.

    box: where the picture ends, in fractions of a pixel. What lies beyond is the encoder's filling; resized with the
    rest it shifts the whole picture: 3.0 of 255 at 1/4 with one pixel over, 1.3 without it.
    """
    return max(1, round(box[2])), max(1, round(box[3]))


def upright(image: Image.Image, *, keep: tuple[int, int] | None = None) -> Image.Image:
    """A loaded picture of any mode as RGB, turned as its EXIF says, alpha laid on white.

    keep: width and height, before turning, of the part at the upper left that counts.
    """
    orientation = _orientation(image)
    rgb = _rgb(image)
    if keep and keep != rgb.size:
        rgb = rgb.crop((0, 0, *keep))
    if orientation in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[orientation])
    rgb.info = {}  # the orientation and colour key the file stated no longer hold
    return rgb


def _orientation(file: Image.Image) -> object:
    """The EXIF orientation. Asked for after loading, because loading turns TIFF and HEIF by itself."""
    try:
        return file.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # the pixels are good; a broken note about them must not cost the photo
        return None


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(_to_8_bit(image)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(rgba, mask=rgba.getchannel("A"))
        return white
    return image.convert("RGB")


def _to_8_bit(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Deep greyscale -> 0…255. Pillow's own conversion clips, which turns nearly every 16-bit picture white.

    16-bit integers span 0…65535. What wider types span is written nowhere: floats inside 0…1, 0…255 or
    0…65535 are taken to span that range, 32-bit integers likewise 0…65535; anything else is stretched from
    its minimum to its maximum. NaN and infinities count as 0.
    """
    values = np.array(image, dtype=np.float64)  # float32 would overflow on high - low of a hostile file
    np.nan_to_num(values, copy=False, nan=0, posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    spans = (1.0, 255.0, 65535.0) if image.mode == "F" else (65535.0,)
    top = next((span for span in spans if low >= 0 and high <= span), None)
    if top is not None:
        low, high = 0.0, top
    values -= low
    values *= 255 / (high - low) if high > low else 0
    return values.round().astype(np.uint8)
