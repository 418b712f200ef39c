"""Tux Paint's stamps: pictures of things with short captions in up to 78 languages, a multilingual benchmark.

They come from the Debian package tuxpaint-stamps-default (GPL-2), which is fetched when asked for and never shipped.
Beside `animals/birds/rosella.png` stands `rosella.txt`: English in the first line, then `de.utf8=Ein Rosellasittich.`
a line a language. Letters, numbers, coins and other signs (`symbols`), flags, and mirrored copies are left out, and so
are stamps that are drawn as SVG only: nothing here renders it.

Many stamps have equal captions (`A cat.`): they are one text, and all their pictures are relevant.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from retrieval.errors import EvaluationError
from retrieval.evaluation.datasets import debian
from retrieval.evaluation.datasets.captioned import captioned_set, require_captions
from retrieval.evaluation.datasets.choices import choose_language
from retrieval.evaluation.datasets.common import image_file, lines
from retrieval.evaluation.types import EvaluationSet

PART = debian.Part("tuxpaint-stamps-default", "usr/share/tuxpaint/stamps", frozenset({".png", ".txt"}))
_LEFT_OUT = re.compile(r"symbols/|town/flags/|.*_mirror\.")
_TRANSLATION = re.compile(r"([A-Za-z_@]+)\.utf8=(.*)")
_VARIANTS = {"latin": "Latn", "valencia": "valencia"}
"""What follows `@` in a locale's name -> the subtag of BCP 47."""


def fetch(
    cache_dir: Path,
    *,
    on_message: Callable[[str], None],
    apt_get: str = "apt-get",
    dpkg_deb: str = "dpkg-deb",
) -> Path:
    """The folder with the stamps, from the package (161 MB, once) or the cache. Raises as `debian.fetch` does."""
    return debian.fetch(PART, cache_dir, on_message=on_message, apt_get=apt_get, dpkg_deb=dpkg_deb)


def read(folder: Path, *, language: str = "") -> EvaluationSet:
    """The stamps in one language, English if none is given. folder: what `fetch` gave. Raises EvaluationError.

    Image ids are paths in the folder. Attributes: `category`, the first folder of the path; `style`, cartoon or photo.
    """
    names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.txt"))
    names = [name.removesuffix(".txt") for name in names if not _LEFT_OUT.match(name)]
    pictures = [name for name in names if (folder / f"{name}.png").is_file()]
    if not pictures:
        raise EvaluationError(f"{folder} holds no stamps", hint="Remove it, and it is fetched again.")
    captions = {f"{name}.png": _captions(folder / f"{name}.txt") for name in pictures}
    require_captions(captions, folder)
    counts = Counter(tag for own in captions.values() for tag in own)
    chosen, _ = choose_language(language, counts, of="stamps")
    notes = [
        f"{folder.name}: {len(pictures):,} pictures, {len(counts)} languages; "
        f"{len(names) - len(pictures):,} stamps drawn as SVG only were left out"
    ]
    texts = {name: [own[chosen]] if chosen in own else [] for name, own in captions.items()}
    if not chosen.startswith("en") and (same := sum(own.get(chosen) == own.get("en") for own in captions.values())):
        notes.append(f"{same:,} captions in {chosen} are the English words, perhaps not translated")
    images = [
        replace(image_file(name, folder / name), attributes={"category": name.partition("/")[0], "style": _style(name)})
        for name in captions
    ]
    return captioned_set(f"stamps ({chosen})", folder, images, texts, language=chosen, merge_equal=True, notes=notes)


def _style(name: str) -> str:
    return "cartoon" if "/cartoon/" in name else "photo"


def _captions(path: Path) -> dict[str, str]:
    captions: dict[str, str] = {}
    for number, line in lines(path):
        match = _TRANSLATION.fullmatch(line.strip())
        if match and match[2].strip():
            captions[_tag(match[1])] = match[2].strip()
        elif number == 1:
            captions["en"] = line.strip()
    return captions


def _tag(locale: str) -> str:
    """`pt_BR` -> `pt-BR`, `sr@latin` -> `sr-Latn`."""
    language, _, variant = locale.partition("@")
    return "-".join(filter(None, (language.replace("_", "-"), _VARIANTS.get(variant, variant))))
