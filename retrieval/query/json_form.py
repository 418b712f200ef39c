"""The query as JSON values, and back. What comes in is untrusted: every field is checked, no path is followed."""

import base64
import binascii
import io
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from PIL import Image

from retrieval.errors import QueryError
from retrieval.query.value import ImageQuery, Part, Query, check_unicode

BASE64 = "base64"
INTEGERS = ("k", "offset", "rerank")
NUMBERS = ("duplicates", "diversity", "min_confidence", "rerank_deadline")
LISTS = ("sort", "facets")
PARTS = ("words", "image", "item", "vector", "weight")


def to_json(query: Query) -> dict[str, Any]:
    """All that differs from a plain query, as JSON values; `from_json` makes an equal query of it.

    Pictures without a path become `{"base64": ...}`; one that was given as pixels comes back as the bytes of a PNG.
    """
    return _fields(query, _picture)


def shown(query: Query) -> dict[str, Any]:
    """As `to_json`, but pictures without a path are `(picture)` and embeddings `(n numbers)`: for people and logs."""
    value = _fields(query, lambda image: str(image) if isinstance(image, Path) else "(picture)")
    for part in value["parts"]:
        if "vector" in part:
            part["vector"] = f"({len(part['vector']):,} numbers)"
    return value


def from_json(value: Any, *, paths: bool = False, more: Sequence[Part] = ()) -> Query:
    """The query that `to_json` wrote, or that a program did.

    `{"words": "red", "k": 5}` stands for `{"parts": [{"words": "red"}], "k": 5}`, the same with image, item and vector.
    paths: whether an image may be the path of a local file; not for what comes over a network.
    more: parts that came beside the JSON, such as a picture that was uploaded.
    Raises QueryError, naming the field, for anything that is no query.
    """
    if not isinstance(value, Mapping):
        raise QueryError(f"a query is a JSON object, not {_kind(value)}", hint='such as {"words": "red shoes"}')
    known = [field.name for field in fields(Query)]
    single = {name: value[name] for name in PARTS if value.get(name) is not None}
    for name in value:
        if name not in known and name not in PARTS:
            raise _unknown("query", str(name), [*known, *PARTS])
    parts = value.get("parts") or []
    if not isinstance(parts, list):
        raise _wrong("parts", parts, "a list")
    made = [_part(part, f"parts[{i}]", paths) for i, part in enumerate(parts)]
    if single:
        made.insert(0, _part(single, "query", paths))
    given = {name: value[name] for name in known if name != "parts" and value.get(name) is not None}
    return Query((*made, *more), **{name: _checked(name, one) for name, one in given.items()})


def _fields(query: Query, picture: Any) -> dict[str, Any]:
    value: dict[str, Any] = {"parts": [_part_json(part, picture) for part in query.parts]}
    for field in fields(Query):
        now = getattr(query, field.name)
        always = field.name in ("k", "by")
        if field.name != "parts" and (always or (field.default is not MISSING and now != field.default)):
            value[field.name] = list(now) if isinstance(now, tuple) else now
    return value


def _part_json(part: Part, picture: Any) -> dict[str, Any]:
    value: dict[str, Any] = {}
    if part.words is not None:
        value["words"] = part.words
    if part.image is not None:
        value["image"] = picture(part.image)
    if part.item is not None:
        value["item"] = part.item
    if part.vector is not None:
        value["vector"] = list(part.vector)
    if part.weight != 1:
        value["weight"] = part.weight
    return value


def _picture(image: ImageQuery) -> str | dict[str, str]:
    if isinstance(image, Path):
        return str(image)
    if isinstance(image, Image.Image):
        written = io.BytesIO()
        image.save(written, "PNG")
        image = written.getvalue()
    return {BASE64: base64.b64encode(image).decode("ascii")}


def _part(value: Any, where: str, paths: bool) -> Part:
    if not isinstance(value, Mapping):
        raise QueryError(f"{where} is {_kind(value)}, not an object", hint='such as {"words": "red shoes"}')
    for name in value:
        if name not in PARTS:
            raise _unknown(where, str(name), PARTS)
    weight = value.get("weight", 1.0)
    if not _is_number(weight):
        raise _wrong(f"{where}.weight", weight, "a number")
    for name in ("words", "item"):
        if value.get(name) is not None and not isinstance(value[name], str):
            raise _wrong(f"{where}.{name}", value[name], "a text")
    # JSON can hold half of a surrogate pair, which no answer that shows the query can.
    check_unicode(f"{where}.words", value.get("words") or "")
    vector = value.get("vector")
    if vector is not None and not (isinstance(vector, list) and all(map(_is_number, vector))):
        raise QueryError(
            f"{where}.vector is not a list of numbers", hint="such as [0.1, -0.2]", field=f"{where}.vector"
        )
    return Part(
        words=value.get("words"),
        image=_image(value.get("image"), f"{where}.image", paths),
        item=value.get("item"),
        vector=None if vector is None else tuple(map(_number, vector)),
        weight=_number(weight),
    )


def _image(value: Any, where: str, paths: bool) -> ImageQuery | None:
    if value is None:
        return None
    if isinstance(value, str) and paths:
        return Path(value)
    if isinstance(value, Mapping) and set(value) == {BASE64} and isinstance(value[BASE64], str):
        try:
            return base64.b64decode(value[BASE64], validate=True)
        except (binascii.Error, ValueError):
            raise QueryError(
                f"{where} is not base64", hint="encode the bytes of the picture's file", field=where
            ) from None
    raise QueryError(f"{where} is no picture", hint=f'give the bytes of its file as {{"{BASE64}": "..."}}', field=where)


def _checked(name: str, value: Any) -> Any:
    if name in INTEGERS:
        if not isinstance(value, int) or isinstance(value, bool):
            raise _wrong(name, value, "a whole number")
        return value
    if name in NUMBERS:
        if not _is_number(value):
            raise _wrong(name, value, "a number")
        return _number(value)
    if name in LISTS:
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise QueryError(f"{name} is not a list of texts", hint='such as ["price"]', field=name)
        return tuple(value)
    if not isinstance(value, str):
        raise _wrong(name, value, "a text")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # JSON has whole numbers of any length
        return float("inf")


def _kind(value: Any) -> str:
    names: dict[type, str] = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number"}
    return "null" if value is None else names.get(type(value), "a number")


def _wrong(where: str, value: Any, wanted: str) -> QueryError:
    return QueryError(f"{where} is {_kind(value)}, not {wanted}", hint=f"give {wanted}", field=where)


def _unknown(where: str, name: str, known: Any) -> QueryError:
    near = get_close_matches(name, known, n=1)
    return QueryError(
        f"{where} has no field '{name[:80]}'" + (f"; there is '{near[0]}'" if near else ""),
        hint=f"fields are {', '.join(dict.fromkeys(known))}",
        field=name[:80],
    )
