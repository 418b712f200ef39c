"""One HTML page of queries and what they found, to look at, print or send: no script, no second file, no network."""

import base64
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import ImageOps

from retrieval.errors import ImageError, StorageError
from retrieval.images import decode_file
from retrieval.records import Hit

THUMBNAIL_SIDE = 320
JPEG_QUALITY = 80

_STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f5f2; --card: #fff; --ink: #1d1c1a; --quiet: #6b6862; --line: #e4e1da; --best: #b4532a;
}
@media (prefers-color-scheme: dark) {
  :root { --page: #161514; --card: #211f1d; --ink: #f0ede8; --quiet: #a29d94; --line: #34312d; --best: #f0a27c; }
}
* { box-sizing: border-box; margin: 0; }
body {
  background: var(--page); color: var(--ink); font: 15px/1.45 system-ui, sans-serif;
  max-width: 1240px; margin: 0 auto; padding: clamp(16px, 4vw, 48px);
}
h1 { font-size: clamp(24px, 4vw, 36px); line-height: 1.15; letter-spacing: -0.02em; }
.about { color: var(--quiet); margin-top: 8px; }
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
.photo img { display: block; width: 100%; }
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
    style_hash = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    body = "".join(map(_section, sections))
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'sha256-{style_hash}'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
<p class="about">Best match first; the number is the cosine similarity of query and item.</p>
{body}</body>
</html>
"""
    # Words from a command line can hold bytes that are no UTF-8 (as lone surrogates); they show as question marks.
    try:
        path.write_text(page, encoding="utf-8", errors="replace")
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror or error}", hint="give another path, or make room"
        ) from error


def _section(section: Section) -> str:
    asked = f"<span>{escape(section.query)}</span>"
    if section.photo is not None:
        asked = f"{_image(section.photo)}<span><small>query photo</small>{escape(section.query)}</span>"
    answer = '<p class="none">Nothing found.</p>'
    if section.hits:
        answer = f"<ol>\n{''.join(map(_card, section.hits))}</ol>"
    return f"<section>\n<h2>{asked}</h2>\n{answer}\n</section>\n"


def _card(hit: Hit) -> str:
    photo = _image(Path(hit.photo)) if hit.photo else "no photo"
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
        return "no photo"
    jpeg = io.BytesIO()
    ImageOps.fit(picture, (THUMBNAIL_SIDE, THUMBNAIL_SIDE)).save(jpeg, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(jpeg.getvalue()).decode()}">'


def format_price(price: object) -> str:
    """A catalogue's price for reading: numbers with two decimals, anything else as it stands, None as nothing."""
    if isinstance(price, int | float):
        return f"{price:,.2f}"
    return "" if price is None else str(price)
