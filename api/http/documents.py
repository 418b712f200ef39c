"""Texts and pictures that come inside a request: what a text says, and the bytes of a picture's file, undecoded."""

import base64
import binascii
import re

from api.http.errors import Invalid
from api.http.models.documents import ImageInput, ImageUrlInput, ItemInput, TextInput
from api.http.settings import ServerSettings

_DATA = re.compile(r"data:image/[\w.+-]+(?:;[\w.+-]+=[\w.+-]+)*;base64,", re.IGNORECASE | re.ASCII)


def text_of(given: str | TextInput | ImageInput | ImageUrlInput | ItemInput) -> str | None:
    """The text, None for what is none."""
    return given.text if isinstance(given, TextInput) else given if isinstance(given, str) else None


def picture_bytes(given: ImageInput | ImageUrlInput, settings: ServerSettings, field: str) -> bytes:
    """The bytes that a request gives, or names by an https URL where the server fetches such.

    field: where in the request it stands. Blocks. Raises Invalid; for a URL what `Fetcher.image_bytes` raises.
    """
    if isinstance(given, ImageInput):
        return _decoded(given.image.base64, f"{field}.image.base64")
    url = given.image_url.url
    place = f"{field}.image_url.url"
    if url[:5].lower() == "data:":
        head = _DATA.match(url)
        if head is None:
            raise Invalid(f"{place} is no data URL of a picture", hint="such as data:image/png;base64,...", field=place)
        return _decoded(url[head.end() :], place)
    if not url.lower().startswith("https://"):
        raise Invalid(f"{place} is neither a data URL nor an https URL", hint="send a data URL", field=place)
    if not settings.allow_url:
        raise Invalid(
            f"{place}: this server fetches no pictures",
            hint="send a data URL; whoever runs the server can start it with --allow-url",
            field=place,
        )
    from api.http.fetch import Fetcher

    return Fetcher(settings.upload_limit).image_bytes(url)


def _decoded(text: str, field: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Invalid(f"{field} is not base64", hint="encode the bytes of the picture's file", field=field) from None
