"""The list of encoders on a terminal of 80 columns, and one of them in full."""

from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from retrieval.encoders.registry import ModelInfo

LEGEND = (
    "size: million parameters. lang: languages of queries. speed: pictures per second against ViT-B-32, measured. "
    "R@1: COCO text to image in percent, as published. here: are the weights on this machine?"
)
MORE = "One in full: catalens models NAME"


def list_models(out: Console, known: tuple[ModelInfo, ...]) -> None:
    """A table; the longest names take two lines."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("model", overflow="fold", min_width=26)
    for heading in ("dim", "size", "lang", "speed", "R@1"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("licence", no_wrap=True)
    table.add_column("here", no_wrap=True)
    for info in known:
        here = ("yes" if info.available else "no") + ("*" if info.requires else "")
        table.add_row(Text(_folded(info.name)), *_cells(info), info.licence, here)
    out.print(table)
    needs = sorted({info.requires for info in known if info.requires})
    note = f" *: needs the package {', '.join(needs)}, which is not installed." if needs else ""
    out.print(Text(f"{LEGEND}{note}\n{MORE}", style="dim"))


def tab_separated(info: ModelInfo) -> str:
    """The same facts for a pipe, and what the model is good for."""
    here = "yes" if info.available else "no"
    return "\t".join((info.name, str(info.dimension or "?"), here, info.good_for, *_cells(info)[1:], info.licence))


def show_model(out: Console, info: ModelInfo) -> None:
    """Everything that is known about one model."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    facts = {key: value for key, value in asdict(info).items() if key != "published"}
    for name, value in {**facts, **(asdict(info.published) if info.published else {"published": None})}.items():
        table.add_row(name.replace("_", " "), Text(value or "-" if name == "requires" else _said(value)))
    out.print(table)


def _said(value: object) -> str:
    """Yes and no for bools alone: 1 equals True, and 0 False."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "unknown" if value is None else str(value)


def _folded(name: str) -> str:
    """Broken after the slash if it would not fit."""
    return name if len(name) <= 26 else name.replace("/", "/\n  ")


def _cells(info: ModelInfo) -> tuple[str, ...]:
    recall = info.published.coco_text_to_image if info.published else None
    return (
        str(info.dimension or "?"),
        f"{info.parameters_millions:,.0f}" if info.parameters_millions else "?",
        _languages(info.languages),
        f"{info.relative_speed:.2g}x" if info.relative_speed else "?",
        f"{recall:.1f}" if recall else "?",
    )


def _languages(words: str) -> str:
    """`English` -> en, `16, among them …` -> 16, `about 100` -> ~100."""
    first = words.replace("about ", "~").partition(",")[0]
    return "en" if first == "English" else first
