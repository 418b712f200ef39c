"""A heat map over its photo, or alone to be laid over it, as PNG."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from retrieval.arrays import FloatArray
from retrieval.explain.colours import colour_map, coloured
from retrieval.explain.heat_map import HeatMap

MAX_SIDE = 1024
OVERLAY_SIDE = 512  # a map is smooth, and is enlarged with the photo that it lies on
MIN_WIDTH = 320  # a caption needs some room; smaller photos are enlarged
_MAX_TALL = 4096  # of a narrow strip enlarged to that width
_STRONGEST = 0.62  # opacity of the most relevant place: the thing must still be seen
_RISE = 0.7  # below 1, so that the middle of the scale shows too
_QUIET = 0.55  # how much colour the rest keeps
_UNSEEN = 0.35  # brightness of what the encoder cuts off
_LATIN_END = 0x180  # code points up to Latin Extended-A, which the font has
_PAPER, _INK, _PALE = (24, 24, 27), (244, 244, 245), (170, 170, 178)


def draw(photo: Image.Image, made: HeatMap, query: str) -> bytes:
    """PNG bytes: the upright RGB photo, at most 1,024 pixels a side, its relevance as colour, and a caption below.

    query: what to call it in the caption. It also stands in the file as text, under `Description`, whole and in any
    script: the caption's font has Latin letters only.
    """
    picture = _sized(photo)
    picture = overlaid(picture, shares(made, picture.size))
    sheet = _captioned(picture, query, _figures(made))
    note = PngImagePlugin.PngInfo()
    note.add_itxt("Description", f"{query}: {_figures(made)}")
    out = io.BytesIO()
    sheet.save(out, "PNG", optimize=False, pnginfo=note)
    return out.getvalue()


def alone(made: HeatMap, size: tuple[int, int]) -> bytes:
    """PNG bytes: only the map, transparent where nothing matches, in the shape of a photo of size (width, height).

    At most 512 pixels a side. Dark where the encoder does not look. Laid over the photo it colours what `draw` does.
    """
    factor = min(OVERLAY_SIDE / max(size), 1.0)
    width, height = (max(1, round(side * factor)) for side in size)
    share = shares(made, (width, height))
    seen = ~np.isnan(share)
    share = np.nan_to_num(share)
    rgba = np.empty((height, width, 4), dtype=np.uint8)
    rgba[..., :3] = coloured(share) * seen[..., None]
    rgba[..., 3] = np.where(seen, _STRONGEST * share**_RISE, 1 - _UNSEEN) * 255
    out = io.BytesIO()
    Image.fromarray(rgba).save(out, "PNG")
    return out.getvalue()


def shares(made: HeatMap, size: tuple[int, int]) -> FloatArray:
    """Relevance over a photo of size (width, height) as shares of the highest, float32 [height, width] in 0…1.

    0 is the median place and all below it; NaN where the encoder does not look.
    """
    spread = made.window.over_photo(made.relevance, *size)
    floor, top = float(np.nanmedian(spread)), float(np.nanmax(spread))  # of the photo: padding may weigh more
    if top <= floor:
        return np.where(np.isnan(spread), spread, np.float32(0))
    share: FloatArray = np.clip((spread - np.float32(floor)) / np.float32(top - floor), 0, 1)
    return share


def overlaid(photo: Image.Image, share: FloatArray) -> Image.Image:
    """The photo with its shares [height, width] laid over it: the higher, the more opaque."""
    base = np.asarray(photo, dtype=np.float32)
    grey = base @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    seen = ~np.isnan(share)
    share = np.nan_to_num(share)
    quiet = grey[..., None] + _QUIET * (base - grey[..., None])
    calm = quiet + (base - quiet) * share[..., None]  # colour comes back where it counts
    opacity = (_STRONGEST * share**_RISE)[..., None]
    mixed = calm * (1 - opacity) + coloured(share).astype(np.float32) * opacity
    mixed[~seen] = base[~seen] * _UNSEEN
    return Image.fromarray(mixed.round().clip(0, 255).astype(np.uint8))


def _sized(photo: Image.Image) -> Image.Image:
    factor = min(MAX_SIDE / max(photo.size), 1.0)
    if photo.width * factor < MIN_WIDTH:
        factor = min(MIN_WIDTH / photo.width, _MAX_TALL / photo.height)
    width, height = (max(1, round(side * factor)) for side in photo.size)
    return photo if (width, height) == photo.size else photo.resize((width, height), Image.Resampling.BICUBIC)


def _figures(made: HeatMap) -> str:
    tested = made.faithfulness
    score = f"score {made.score:.3f}"
    if tested is None:
        return score
    if tested.figure is None:
        return f"{score}   no match to locate"
    return f"{score}   faithfulness {round(tested.figure, 2) + 0.0:.2f} (chance: 0)"  # + 0.0: no -0.00


def _captioned(picture: Image.Image, query: str, figures: str) -> Image.Image:
    width = max(picture.width, MIN_WIDTH)
    size = max(13, round(width / 36))
    pad, bar = size * 2 // 3, max(4, size // 3)
    height = bar + 3 * pad + 2 * size
    sheet = Image.new("RGB", (width, picture.height + height), _PAPER)
    sheet.paste(picture, ((width - picture.width) // 2, 0))
    scale = Image.fromarray(np.repeat(colour_map()[None], bar, axis=0)).resize((width, bar))
    sheet.paste(scale, (0, picture.height))
    brush = ImageDraw.Draw(sheet)
    top = picture.height + bar + pad
    room = width - 2 * pad
    brush.text((pad, top), _fitting(_printable(query), size, room), fill=_INK, font=_font(size))
    small = max(11, size * 4 // 5)
    brush.text((pad, top + size + pad // 2), _fitting(figures, small, room), fill=_PALE, font=_font(small))
    return sheet


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _printable(text: str) -> str:
    """On one line, with `?` for what the font has no letter for, and a word for a query that has none at all."""
    kept = "".join(letter if ord(letter) < _LATIN_END else "?" for letter in " ".join(text.split()))
    return kept if any(letter.isalnum() for letter in kept) else "(query: see the file's description)"


def _fitting(text: str, size: int, room: int) -> str:
    font = _font(size)
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "…") > room:
        text = text[:-1]
    return text.rstrip() + "…"
