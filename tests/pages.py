"""An HTML page read back the way a browser does: parsed, not searched with patterns."""

import base64
import hashlib
import io
from html.parser import HTMLParser
from pathlib import Path

from PIL import Image


class Page(HTMLParser):
    """The elements of a page in order, its style sheet, and the texts a reader sees."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.style = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "style" and not self.style:
            self.style = data
        elif data.strip():
            self.texts.append(data.strip())

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)

    def images(self) -> list[Image.Image]:
        prefix = "data:image/jpeg;base64,"
        sources = [attrs["src"] for tag, attrs in self.elements if tag == "img"]
        assert all(source.startswith(prefix) for source in sources)
        return [Image.open(io.BytesIO(base64.b64decode(source.removeprefix(prefix)))) for source in sources]

    def assert_safe_and_whole(self) -> None:
        """No script, no network, no second file; and the browser enforces it, with this style sheet alone allowed."""
        assert not {"script", "link", "iframe", "object", "form"} & {tag for tag, _ in self.elements}
        assert not {name for _, attrs in self.elements for name in attrs if name.startswith("on") or name == "style"}
        for elsewhere in ("http:", "https:", "url(", "@import"):
            assert elsewhere not in self.source
        [policy] = [a["content"] for _, a in self.elements if a.get("http-equiv") == "Content-Security-Policy"]
        digest = base64.b64encode(hashlib.sha256(self.style.encode()).digest()).decode()
        assert policy == f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'"
