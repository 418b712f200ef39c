"""The query as text: what a person types after `catalens search`, and back."""

import re
import shlex
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from retrieval.errors import QueryError
from retrieval.query.value import Part, Query

PLUS, MINUS = "+", "-"
WEIGHT = re.compile(r"(\d+(?:\.\d+)?|\.\d+):(?=.)", re.DOTALL)
PATH_STARTS = ("/", "./", "../", "~/")
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")
URL_STARTS = ("http://", "https://")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif")

# Option -> field and how to read its value; those of LISTS may be given several times.
OPTIONS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "-k": ("k", int),
    "--offset": ("offset", int),
    "--by": ("by", str),
    "--filter": ("filter", str),
    "--sort": ("sort", str),
    "--facet": ("facets", str),
    "--group": ("group", str),
    "--duplicates": ("duplicates", float),
    "--diversity": ("diversity", float),
    "--min-confidence": ("min_confidence", float),
    "--rerank": ("rerank", int),
    "--rerank-deadline": ("rerank_deadline", float),
    "--rerank-when": ("rerank_when", str),
}
LISTS = ("sort", "facets")
RERANK = "--rerank"
USUAL_DEPTH = 20
PARTS = {"--image": ("image", 1.0), "--like": ("item", 1.0), "--unlike": ("item", -1.0)}


def parse(text: str) -> Query:
    """A query as it is typed: parts joined by + and -, then options.

    `"red dress" + ./photo.jpg - "stripes" --filter "price < 50" -k 20`. Words beside each other are one part;
    `2:leather` gives a weight; what begins like a path, or has the suffix of a picture and no blank, is a picture.
    Options are those of `catalens search`; `--rerank` may stand alone. Quoting is the shell's. Raises QueryError.
    """
    try:
        tokens = shlex.split(text)
    except ValueError:
        raise QueryError(
            f"a quote is not closed in {text[:200]}", hint='write each part in its own quotes: "red dress" - "stripes"'
        ) from None
    words: list[str] = []
    parts: list[Part] = []
    given: dict[str, Any] = {}
    rest = iter(with_depth(list(_split_at_equals(tokens)), (*PARTS, *OPTIONS)))
    for argument in rest:
        if argument in PARTS:
            field, weight = PARTS[argument]
            parts.append(_part(**{field: _value(argument, rest)}, weight=weight))
        elif argument in OPTIONS:
            field, read = OPTIONS[argument]
            value = _read(argument, read, _value(argument, rest))
            given[field] = (*given.get(field, ()), value) if field in LISTS else value
        elif argument == "--":
            words.extend(rest)
        elif re.match(r"--?[A-Za-z]", argument):
            raise QueryError(f"there is no option {argument}", hint=f"options are {', '.join((*PARTS, *OPTIONS))}")
        else:
            words.append(argument)
    return Query((*parts_of(words), *parts), **given)


def text(query: Query) -> str:
    """The query as `parse` reads it; the order of the parts may change. Raises QueryError for what only JSON can say.

    That is: pictures without a path, embeddings, weighted items, and words that would be read as something else.
    """
    tokens, options = list[str](), list[str]()
    for part in query.parts:
        if part.item is not None and abs(part.weight) == 1:
            options += ["--like" if part.weight > 0 else "--unlike", part.item]
        elif isinstance(part.image, Path) or part.words is not None:
            sign = [MINUS] if part.weight < 0 else [PLUS] if tokens else []
            tokens += [*sign, _token(part)]
        else:
            raise _only_json()
    for option, (field, _) in OPTIONS.items():
        value = getattr(query, field)
        if value not in ((), None) and value != getattr(_PLAIN, field):
            for one in value if isinstance(value, tuple) else (value,):
                options += [option, str(one)]
    if any(token.startswith("-") and token != MINUS for token in tokens):
        return shlex.join([*options, "--", *tokens])
    return shlex.join([*tokens, *options])


def parts_of(tokens: Sequence[str]) -> tuple[Part, ...]:
    """The parts that the words of a command line say, quotes already taken off by the shell.

    `+` and `-` stand between parts as tokens of their own. Raises QueryError for a sign without a part after it, and
    for a picture that is not there.
    """
    parts: list[Part] = []
    sign, phrase = 1.0, list[str]()

    def close() -> None:
        if phrase:
            parts.append(_phrase(phrase, sign))
            phrase.clear()

    for i, token in enumerate(tokens):
        if token in (PLUS, MINUS):
            if i + 1 == len(tokens) or tokens[i + 1] in (PLUS, MINUS):
                raise QueryError(f"nothing stands after the {token}", hint='such as: "red dress" - "stripes"')
            close()
            sign = 1.0 if token == PLUS else -1.0
        elif _is_picture(_weighted(token)[1]):
            close()
            parts.append(_phrase([token], sign))
            sign = 1.0
        elif token.strip():
            phrase.append(token)
    close()
    return tuple(parts)


def with_depth(tokens: Sequence[str], valued: Collection[str]) -> list[str]:
    """A command line in which each `--rerank` has its number: 20 where none stands after it, as before words.

    valued: the options that take what stands after them, whatever it is.
    """
    made: list[str] = []
    rest = list(reversed(tokens))
    while rest:
        made.append(rest.pop())
        if made[-1] == "--":
            return made + rest[::-1]
        if made[-1] == RERANK and not (rest and NUMBER.fullmatch(rest[-1])):
            made.append(str(USUAL_DEPTH))
        elif made[-1] in valued and rest:
            made.append(rest.pop())
    return made


_PLAIN = Query.of("plain")


def _phrase(tokens: Sequence[str], sign: float) -> Part:
    weight, said = _weighted(" ".join(tokens))
    if _is_picture(said):
        return _part(image=said, weight=sign * weight)
    return Part(words=said, weight=sign * weight)


def _part(*, weight: float, image: str | None = None, item: str | None = None) -> Part:
    if image is None:
        return Part(item=item, weight=weight)
    if image.startswith(URL_STARTS):
        raise QueryError("pictures are not fetched from the network", hint="download it, and give its path")
    path = Path(image)
    with suppress(RuntimeError):  # there is no such user: then it is a folder's name
        path = path.expanduser()
    return Part(image=path, weight=weight)


def _weighted(token: str) -> tuple[float, str]:
    found = WEIGHT.match(token)
    return (float(found[1]), token[found.end() :]) if found else (1.0, token)


def _is_picture(token: str) -> bool:
    """Is this meant as a picture? A path that leads nowhere is, so that it is said and not searched for as words."""
    if token.startswith((*PATH_STARTS, *URL_STARTS)) and " " not in token.strip().partition("/")[0]:
        return True
    if not token.lower().endswith(PICTURE_SUFFIXES) or token.lower() in PICTURE_SUFFIXES:
        return False
    try:
        return " " not in token or Path(token).is_file()
    except (OSError, ValueError):
        return False


def _token(part: Part) -> str:
    said = str(part.image) if part.words is None else part.words
    if isinstance(part.image, Path) and not _is_picture(said):
        said = f"./{said}"
    weight = abs(part.weight)
    token = said if weight == 1 and not WEIGHT.match(said) and said not in (PLUS, MINUS) else f"{weight:.17g}:{said}"
    read = parts_of([token])
    if read != (Part(part.words, part.image, weight=weight),):
        raise _only_json()
    return token


def _split_at_equals(tokens: Sequence[str]) -> Iterator[str]:
    """`--sort=-price` as two tokens."""
    for token in tokens:
        option, equals, value = token.partition("=")
        yield from (option, value) if equals and option.startswith("--") and option in (*PARTS, *OPTIONS) else (token,)


def _value(option: str, rest: Iterator[str]) -> str:
    value = next(rest, None)
    if value is None:
        raise QueryError(f"nothing stands after {option}", hint=f"such as {option} VALUE")
    return value


def _read(option: str, read: Callable[[str], Any], value: str) -> Any:
    try:
        return read(value)
    except ValueError:
        kind = "a whole number" if read is int else "a number"
        raise QueryError(f"{option} is '{value[:80]}', not {kind}", hint=f"give {kind}") from None


def _only_json() -> QueryError:
    return QueryError(
        "this query cannot be written as text: a part has no path, a weight that an option cannot say, or looks like "
        "something else",
        hint="write it as JSON",
    )
