"""A preview of rules as one HTML page: each query that changes, its hits after the change, what moved and why."""

from html import escape
from pathlib import Path

from api.cli.pages import NO_PHOTO, THUMBNAIL_SIDE, inline_picture, write_document
from retrieval.errors import ImageError
from retrieval.images import decode_file
from retrieval.rules.preview import Change, Preview, QueryPreview, Seen

MAX_PICTURES = 300  # about 20 kB each

_STYLE = """
section { border-top: 1px solid var(--line); margin-top: 32px; padding-top: 18px; break-inside: avoid; }
h2 { font-size: 20px; font-weight: 600; overflow-wrap: anywhere; }
h3 { font-size: 13px; font-weight: 500; color: var(--quiet); margin-top: 16px; }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(128px, 1fr)); gap: 12px;
  list-style: none; padding: 0; margin-top: 10px; }
li { background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow: hidden;
  font-size: 13px; break-inside: avoid; }
li.entered, li.up { border-color: var(--best); box-shadow: 0 0 0 1px var(--best); }
li.left { opacity: .65; }
.photo { display: grid; place-items: center; aspect-ratio: 1; background: var(--line); color: var(--quiet); }
.photo img { display: block; width: 100%; height: auto; }
.words { padding: 8px 10px 10px; display: grid; gap: 2px; }
.place { display: flex; justify-content: space-between; font-variant-numeric: tabular-nums; color: var(--quiet); }
.place b { color: var(--ink); } .title { overflow-wrap: anywhere; }
.rules { font-family: ui-monospace, monospace; font-size: 11.5px; color: var(--quiet); overflow-wrap: anywhere; }
"""


def write_page(path: Path, name: str, found: Preview) -> None:
    """Write the page to `path`, over what was there: one file that opens offline, with no script.

    name: of the rules file. The first 300 different photos lie inside; one that cannot be read shows as a grey square.
    Raises StorageError when the disk refuses.
    """
    pictures = _Pictures()
    silent = f"Change none of these answers: {', '.join(found.silent)}." if found.silent else "Every rule changes one."
    body = (
        f"<h1>What {escape(name)} changes</h1>\n"
        f'<p class="about">{len(found.changed):,} of {len(found.queries):,} queries change among their first '
        f"{found.k} hits. {escape(silent)}</p>\n" + "".join(_section(one, pictures) for one in found.changed)
    )
    write_document(path, f"What {name} changes", _STYLE, body)


class _Pictures:
    """Photos as elements of the page, each read once."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def of(self, item: Seen) -> str:
        if item.photo is None:
            return NO_PHOTO
        if item.photo not in self._known and len(self._known) < MAX_PICTURES:
            try:
                picture = decode_file(Path(item.photo), target=THUMBNAIL_SIDE).image
                self._known[item.photo] = inline_picture(picture, square=True)
            except ImageError:
                self._known[item.photo] = NO_PHOTO
        return self._known.get(item.photo, NO_PHOTO)


def _section(one: QueryPreview, pictures: _Pictures) -> str:
    moved = {change.item.item_id: change for change in one.changes}
    hits = "".join(
        _card(seen, str(place), moved.get(seen.item_id), pictures) for place, seen in enumerate(one.after, start=1)
    )
    gone = "".join(_card(change.item, "gone", change, pictures) for change in one.changes if change.kind == "left")
    left = f"<h3>No longer among them</h3>\n<ol>\n{gone}</ol>\n" if gone else ""
    answer = f"<ol>\n{hits}</ol>\n" if hits else "<h3>Nothing is left.</h3>\n"
    return f"<section>\n<h2>{escape(one.query)}</h2>\n{answer}{left}</section>\n"


def _card(seen: Seen, place: str, change: Change | None, pictures: _Pictures) -> str:
    kind = change.kind if change else "same"
    was = "" if change is None else "new" if change.before is None else f"was {change.before}"
    rules = change.rules if change else seen.rules
    said = f'<div class="rules">{escape(", ".join(rules))}</div>' if rules else ""
    return (
        f'<li class="{kind}"><div class="photo">{pictures.of(seen)}</div><div class="words">'
        f'<div class="place"><b>{place}</b><span>{was}</span></div>'
        f'<div class="title">{escape(seen.title or seen.item_id)}</div>{said}</div></li>\n'
    )
