"""An item out of the body of a request: JSON, or a form with the item as JSON and photos as files."""

import base64
import binascii
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from api.http.errors import BadRequest, Invalid, UnsupportedMedia
from api.http.models.items import ItemBody
from api.http.models.search import Base64Image
from api.http.photo_roots import PhotoRoots
from api.http.validation import told
from indexer.items import PutItem
from indexer.items.value import MAX_PHOTOS
from retrieval.photo_paths import RefusedPhoto

JSON, FORM = "application/json", "multipart/form-data"
ITEM, PHOTO = "item", "photo"
MAX_ITEM_BYTES = 8 * 2**20  # an item at all its bounds, with every character of two bytes


def request_body() -> dict[str, Any]:
    """What OpenAPI says of a body that is either."""
    item = ItemBody.model_json_schema(ref_template="#/components/schemas/{model}")
    del item["$defs"]  # other routes have brought them
    photos = {"type": "array", "items": {"type": "string", "format": "binary"}, "maxItems": MAX_PHOTOS}
    form = {
        "type": "object",
        "properties": {
            ITEM: {"type": "string", "description": "The item as JSON.", "examples": ['{"title": "Red sofa"}']},
            PHOTO: {**photos, "description": "Files of photos, after those that the item names."},
        },
        "additionalProperties": False,
    }
    encoding = {ITEM: {"contentType": JSON}, PHOTO: {"contentType": "image/*"}}
    return {"required": True, "content": {JSON: {"schema": item}, FORM: {"schema": form, "encoding": encoding}}}


async def read_item(request: Request) -> tuple[ItemBody, list[bytes]]:
    """The item of a PUT, and photos that came as files. Raises BadRequest, Invalid, UnsupportedMedia."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given == FORM:
        return await _form(request)
    if given in ("", JSON) or (given.startswith("application/") and given.endswith("+json")):
        return _parsed(await request.body(), ""), []
    raise UnsupportedMedia(f"the body is {given[:80]}, not {JSON} or {FORM}", hint=f"send it as {JSON}")


def put_item_of(item_id: str, body: ItemBody, roots: PhotoRoots, files: Sequence[bytes] = ()) -> PutItem:
    """The item as the indexer takes it; photos that cannot be are problems of it. files: photos after its own.

    Looks at files and decodes base64: not for the event loop.
    """
    photos: list[Path | bytes] = []
    problems: list[str] = []
    for number, photo in enumerate(body.photos[: MAX_PHOTOS + 1], 1):
        try:
            photos.append(_photo(photo, roots))
        except (RefusedPhoto, binascii.Error, ValueError) as error:
            reason = str(error) if isinstance(error, RefusedPhoto) else "not base64"
            problems.append(f"photo {number}: {reason}")
    return PutItem(item_id, body.title, body.texts, body.attributes, (*photos, *files), tuple(problems))


def _photo(photo: str | Base64Image, roots: PhotoRoots) -> Path | bytes:
    return base64.b64decode(photo.base64, validate=True) if isinstance(photo, Base64Image) else roots.find(photo)


async def _form(request: Request) -> tuple[ItemBody, list[bytes]]:
    async with request.form(max_files=MAX_PHOTOS + 1, max_fields=4, max_part_size=MAX_ITEM_BYTES) as form:
        unknown = sorted(set(form) - {ITEM, PHOTO})
        if unknown:
            name = unknown[0][:80]
            raise Invalid(f"the form has a field '{name}'", hint=f"fields are {ITEM} and {PHOTO}", field=name)
        items, photos = form.getlist(ITEM), form.getlist(PHOTO)
        if len(items) > 1:
            raise Invalid("the form has two items", hint="send one in each request", field=ITEM)
        if not all(isinstance(photo, UploadFile) for photo in photos):
            raise Invalid("a photo is no file", hint="send it with a filename, as browsers do", field=PHOTO)
        # As a field, or as a part with a name and a type of its own, which is how some clients send JSON.
        item = await items[0].read() if items and isinstance(items[0], UploadFile) else str(items[0] if items else "{}")
        files = [await photo.read() for photo in photos if isinstance(photo, UploadFile)]
        return _parsed(item, ITEM), files


def _parsed(data: bytes | str, place: str) -> ItemBody:
    try:
        return ItemBody.model_validate_json(data)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
    except ValueError as error:  # a number of more digits than Python reads
        raise Invalid(f"{place or 'the body'}: {str(error)[:200]}", hint="see /docs for what is taken") from None
    if errors[0]["type"] == "json_invalid":
        message = str(errors[0]["msg"])[:300]
        raise BadRequest(f"{place or 'the body'} is not JSON: {message}", hint="send one JSON object in UTF-8")
    said, field = told(errors, json.loads(data))
    field = ".".join(filter(None, (place, field))) or None
    raise Invalid(f"{field or 'the body'}: {said}", hint="see /docs for what is taken", field=field)
