"""One HTML page of queries and what they found, to look at, print or send: no script, no second file, no network."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from api.cli.formats import format_price
from api.cli.pages import NO_PHOTO, THUMBNAIL_SIDE, inline_picture, write_document
from retrieval.errors import ImageError
from retrieval.images import decode_file
from retrieval.records import Hit

_STYLE = """
section { border-top: 1px solid var(--line); margin-top: 36px; padding-top: 22px; break-inside: avoid; }
h2 { display: flex; align-items: center; gap: 14px; font-size: 20px; line-height: 1.3; font-weight: 600; }
h2 img { width: 88px; height: 88px; border-radius: 12px; border: 2px solid var(--best); }
h2 small { display: block; font-size: 12px; font-weight: 500; color: var(--quiet); }
h2 span { overflow-wrap: anywhere; min-width: 0; }
ol {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 16px;
  list-style: none; padding: 0; margin-top: 18px;
}
li {
  display: flex; flex-direction: column; overflow: hidden; break-inside: avoid;
  background: var(--card); border: 1px solid var(--line); border-radius: 12px;
}
li:first-child { border-color: var(--best); box-shadow: 0 0 0 1px var(--best); }
.photo { display: grid; place-items: center; aspect-ratio: 1; background: var(--line); color: var(--quiet); }
.photo img { display: block; width: 100%; height: auto; }
.words { display: flex; flex-direction: column; flex: 1; gap: 2px; padding: 10px 12px 12px; }
.title { font-weight: 600; overflow-wrap: anywhere; }
.facts {
  display: flex; justify-content: space-between; gap: 8px; margin-top: auto;
  color: var(--quiet); font-size: 13px; font-variant-numeric: tabular-nums;
}
.none { color: var(--quiet); margin-top: 14px; }
@media (max-width: 480px) { ol { grid-template-columns: 1fr 1fr; gap: 10px; } }
"""


@dataclass(frozen=True)
class Section:
    """One query and its answer.

    query: the words, or for a query by photo what to call it.
    photo: the picture that was the query, or None.
    hits: best first.
    """

    query: str
    photo: Path | None
    hits: Sequence[Hit]


def write_contact_sheet(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Write the page to `path`, over what was there. A photo that cannot be read shows as a grey square.

    Each photo becomes a JPEG inside the page, the middle square at 320 × 320 pixels: about 20 kB a hit.
    Raises StorageError when the disk refuses.
    """
    about = '<p class="about">Best match first; the number is the cosine similarity of query and item.</p>'
    body = f"<h1>{escape(title)}</h1>\n{about}\n{''.join(map(_section, sections))}"
    write_document(path, title, _STYLE, body)


def _section(section: Section) -> str:
    asked = f"<span>{escape(section.query)}</span>"
    if section.photo is not None:
        asked = f"{_image(section.photo)}<span><small>query photo</small>{escape(section.query)}</span>"
    answer = '<p class="none">Nothing found.</p>'
    if section.hits:
        answer = f"<ol>\n{''.join(map(_card, section.hits))}</ol>"
    return f"<section>\n<h2>{asked}</h2>\n{answer}\n</section>\n"


def _card(hit: Hit) -> str:
    photo = _image(Path(hit.photo)) if hit.photo else NO_PHOTO
    price = hit.attributes.get("price")
    return (
        f'<li><div class="photo">{photo}</div><div class="words">'
        f'<div class="title">{escape(hit.title or hit.item_id)}</div>'
        f'<div class="facts"><span>{escape(format_price(price))}</span><span>{hit.score:.3f}</span></div>'
        "</div></li>\n"
    )


def _image(path: Path) -> str:
    try:
        picture = decode_file(path, target=THUMBNAIL_SIDE).image
    except ImageError:
        return NO_PHOTO
    return inline_picture(picture, square=True)
