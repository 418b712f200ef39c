"""Texts and pictures that come inside a request: what a text says, and the bytes of a picture's file, undecoded."""

import base64
import binascii
import re
from collections.abc import Callable
from time import monotonic

from api.http.errors import Invalid
from api.http.fetch import SECONDS as FETCH_SECONDS
from api.http.fetch import Fetcher
from api.http.models.documents import ImageInput, ImageUrlInput, ItemInput, TextInput
from api.http.settings import ServerSettings

SECONDS = 20.0  # a request holds one of the server's threads that long

_DATA = re.compile(r"data:image/[\w.+-]+(?:;[\w.+-]+=[\w.+-]+)*;base64,", re.IGNORECASE | re.ASCII)


def text_of(given: str | TextInput | ImageInput | ImageUrlInput | ItemInput) -> str | None:
    """The text, None for what is none."""
    return given.text if isinstance(given, TextInput) else given if isinstance(given, str) else None


class Pictures:
    """The pictures of one request. Its URLs together may take as many bytes as a request's body, and 20 seconds."""

    def __init__(self, settings: ServerSettings, clock: Callable[[], float] = monotonic) -> None:
        self._settings, self._clock = settings, clock
        self._bytes_left, self._ends = settings.upload_limit, clock() + SECONDS

    def bytes_of(self, given: ImageInput | ImageUrlInput, field: str) -> bytes:
        """The bytes that are given, or what is at an https URL where the server fetches such.

        field: where in the request it stands. Blocks. Raises Invalid; for a URL what `Fetcher.image_bytes` raises.
        """
        if isinstance(given, ImageInput):
            return _decoded(given.image.base64, f"{field}.image.base64")
        url = given.image_url.url
        field = f"{field}.image_url.url"
        if url[:5].lower() == "data:":
            head = _DATA.match(url)
            if head is None:
                raise Invalid(
                    f"{field} is no data URL of a picture", hint="such as data:image/png;base64,...", field=field
                )
            return _decoded(url[head.end() :], field)
        if not url.lower().startswith("https://"):
            raise Invalid(f"{field} is neither a data URL nor an https URL", hint="send a data URL", field=field)
        if not self._settings.allow_url:
            raise Invalid(
                f"{field}: this server fetches no pictures",
                hint="send a data URL; whoever runs the server can start it with --allow-url",
                field=field,
            )
        return self._fetched(url, field)

    def _fetched(self, url: str, field: str) -> bytes:
        seconds = self._ends - self._clock()
        if seconds <= 0 or not self._bytes_left:
            raise Invalid(
                f"{field}: the pictures before it took all that one request may fetch",
                hint="name fewer URLs in one call",
                field=field,
            )
        data = Fetcher(self._bytes_left, seconds=min(seconds, FETCH_SECONDS)).image_bytes(url)
        self._bytes_left -= len(data)
        return data


def _decoded(text: str, field: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Invalid(f"{field} is not base64", hint="encode the bytes of the picture's file", field=field) from None
