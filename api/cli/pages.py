"""What the HTML pages share: one file that opens offline, pictures inside, no script, its style under a hash."""

import base64
import hashlib
import io
from html import escape
from pathlib import Path

from PIL import Image, ImageOps

from retrieval.errors import StorageError

THUMBNAIL_SIDE = 320
JPEG_QUALITY = 80
NO_PHOTO = "no photo"

BASE_STYLE = """
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
h1 { font-size: clamp(24px, 4vw, 36px); line-height: 1.15; letter-spacing: -0.02em; overflow-wrap: anywhere; }
.about { color: var(--quiet); margin-top: 8px; }
"""


def write_document(path: Path, title: str, style: str, body: str) -> None:
    """Write a page to `path`, over what was there.

    title: as it is, the rest is HTML and CSS. Style attributes and scripts in `body` are refused by the browser, since
    the page's security policy names this style sheet and inline pictures and nothing else.
    Raises StorageError when the disk refuses.
    """
    style = BASE_STYLE + style
    style_hash = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'sha256-{style_hash}'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
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


def inline_picture(picture: Image.Image, *, alt: str = "", square: bool = False) -> str:
    """An RGB picture as an `img` element with the JPEG inside, about 20 kB.

    square: the middle square at 320 × 320 pixels; otherwise the whole picture, its longer side 320 pixels.
    """
    fit = ImageOps.fit if square else ImageOps.contain
    small = fit(picture, (THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    jpeg = io.BytesIO()
    small.save(jpeg, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return (
        f'<img alt="{escape(alt)}" width="{small.width}" height="{small.height}" '
        f'src="data:image/jpeg;base64,{base64.b64encode(jpeg.getvalue()).decode()}">'
    )
