"""Shows where in a text something is wrong: the text, and a caret below the place."""

import unicodedata

WIDTH = 72  # with the indent, fits a terminal of 80 columns


def pointed(text: str, at: int) -> str:
    """Two indented lines: what stands around character `at` of the text, and a caret below it."""
    shown = "".join(" " if character.isspace() else character for character in text)
    shown = "".join(character if character.isprintable() else "�" for character in shown)
    start = end = min(at, len(shown))
    room = WIDTH - 4  # for the dots
    while room > 0 and (start > 0 or end < len(shown)):  # grow to both sides, further to the left
        if start > 0:
            start -= 1
            room -= _columns(shown[start])
        if end < len(shown) and room > 0:
            end += 1
            room -= _columns(shown[end - 1])
    before, after = shown[start:at], shown[at:end]
    before = f"…{before}" if start else before
    after = f"{after}…" if end < len(shown) else after
    return f"  {before}{after}\n  {' ' * sum(map(_columns, before))}^"


def _columns(character: str) -> int:
    """How many columns of a terminal a character takes."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
