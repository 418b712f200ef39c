"""Which column of a catalogue means what: guessed from the headers people use, or told by flags."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.errors import SourceError

# In order of preference. `handle` and `slug` stand before `sku`: where a catalogue has both, the first names the
# product and the second one of its variants (Shopify, Vendure).
ID_NAMES = (
    *("id", "item_id", "product_id", "article_id", "uniq_id", "uid", "uuid", "handle", "slug", "sku", "asin"),
    *("ean", "gtin", "upc", "barcode", "product_code", "item_code", "article_number", "code"),
)
TITLE_NAMES = (
    *("title", "name", "product_title", "product_name", "product_display_name", "display_name"),
    *("item_title", "item_name", "label"),
)
DESCRIPTION_NAMES = (
    *("description", "product_description", "item_description", "detail_desc", "long_description"),
    *("short_description", "body", "body_html", "text", "caption", "captions", "summary", "details"),
)
# Singular: plurals, numbers and words such as "additional" are taken off a header before it is compared.
IMAGE_NAMES = (
    *("image", "image_path", "image_file", "image_filename", "image_file_name", "image_name", "image_src", "img"),
    *("img_path", "img_file", "photo", "photo_path", "photo_file", "picture", "picture_path", "picture_file"),
    *("asset", "image_link", "image_url", "img_url", "photo_url", "picture_url"),
    *("filename", "file_name", "file", "filepath", "file_path", "path", "link"),
)

_SEPARATORS = re.compile(r"[\W_]+")
_RANK = re.compile(r"^(?:additional|extra|other|more|main|primary|base)(?=.)|\d+")


@dataclass(frozen=True)
class ColumnMap:
    """The headers, as written, that hold an item's parts; every other column is an attribute.

    id, title: None where the catalogue has no such column.
    images: at least one; an item's photos come from them in this order.
    descriptions: in the catalogue's order; may be empty.
    """

    id: str | None
    title: str | None
    images: tuple[str, ...]
    descriptions: tuple[str, ...]

    @property
    def used(self) -> frozenset[str]:
        """The columns that have a meaning of their own, and so are not attributes."""
        return frozenset(filter(None, (self.id, self.title, *self.images, *self.descriptions)))


def map_columns(
    columns: Sequence[str],
    *,
    file_name: str,
    id_column: str | None = None,
    image_column: str | None = None,
    title_column: str | None = None,
) -> ColumnMap:
    """Finds the columns by name; case, blanks and separators do not matter, and a column given wins over the guess.

    `image_1`, `image_2` and `additional_images` all belong to `image`. Raises SourceError if a column given does
    not exist, or if nothing looks like a column of photos.
    """
    title = _given("title", title_column, columns, file_name) or _first(TITLE_NAMES, columns)
    images = (_given("image", image_column, columns, file_name),) if image_column else _images(columns)
    if not images:
        raise SourceError(
            f"no column of {file_name} looks like it names photos; its columns are {_listed(columns)}",
            hint="say which one does with --image-column; pictures stored inside a table are not read",
        )
    used = {title, *images}
    return ColumnMap(
        id=_given("id", id_column, columns, file_name) or _first(ID_NAMES, columns),
        title=title,
        images=tuple(filter(None, images)),
        descriptions=tuple(c for c in columns if _plain(c) in _DESCRIPTIONS and c not in used),
    )


def _given(role: str, wanted: str | None, columns: Sequence[str], file_name: str) -> str | None:
    if wanted is None or wanted in columns:
        return wanted
    by_plain = {_plain(column): column for column in reversed(columns)}
    found = by_plain.get(_plain(wanted))
    if found is None:
        near = difflib.get_close_matches(_plain(wanted), by_plain, n=1)
        meant = f"; did you mean {by_plain[near[0]]!r}?" if near else ""
        raise SourceError(
            f"{file_name} has no column {wanted!r}; its columns are {_listed(columns)}",
            hint=f"give one of them to --{role}-column{meant}",
        )
    return found


def _first(names: Sequence[str], columns: Sequence[str]) -> str | None:
    by_plain = {_plain(column): column for column in reversed(columns)}
    return next((by_plain[_plain(name)] for name in names if _plain(name) in by_plain), None)


def _images(columns: Sequence[str]) -> tuple[str, ...]:
    families = [(_family(column), column) for column in columns]
    known = {family for family, _ in families}
    best = next((name for name in map(_plain, IMAGE_NAMES) if name in known), None)
    return tuple(column for family, column in families if family == best)


def _family(column: str) -> str:
    """`Additional Images 2` -> `image`."""
    return _RANK.sub("", _plain(column)).removesuffix("s")


def _plain(column: str) -> str:
    """`Product ID`, `product_id` and `productId` -> `productid`."""
    return _SEPARATORS.sub("", column).casefold()


_DESCRIPTIONS = frozenset(map(_plain, DESCRIPTION_NAMES))


def _listed(columns: Sequence[str], limit: int = 30) -> str:
    shown = ", ".join(columns[:limit])
    return f"{shown} and {len(columns) - limit} more" if len(columns) > limit else shown
