"""Values as text for a person or for the program behind a pipe."""

_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_ESCAPES |= {ord("\\"): r"\\", ord("\t"): r"\t", ord("\n"): r"\n", ord("\r"): r"\r"}


def one_line(text: str) -> str:
    """Without line ends, tabs and control characters: a title must not move the cursor or recolour the terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def escaped(text: str) -> str:
    r"""For a tab-separated field: backslashes as \\, tab, line ends and control characters as \t, \n, \r and \x1b."""
    return text.translate(_ESCAPES)


def format_price(price: object) -> str:
    """A catalogue's price for reading: numbers with two decimals, anything else as it stands, None as nothing."""
    if isinstance(price, int | float) and not isinstance(price, bool):
        return f"{price:,.2f}"
    return "" if price is None else str(price)
