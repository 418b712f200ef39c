"""Queries to judge confidence with: what people type in a shop, what they mistype, and what another shop sells.

Nothing here is in `retrieval/confidence/bank.py`, and no generator here is one of its.
"""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

EACH = 60  # strings of each kind of nonsense

# What the demo shop's people would type; its titles and facets are too few.
DEMO = """
wooden chair|laptop|running shoes|camera|old camera|potted plant|office chair|sofa|computer mouse|keyboard|usb cable
bike|tennis ball|basketball|tripod|sneakers|cactus|orchid|garden tools|bedside table|lamp shade|gaming computer|tent
computer screen|desk|stool|skateboard|boxing gloves|soccer ball|hard disk|bonsai|white shoes|leather couch|statue
"""

# Things that neither a clothes shop, nor a furniture shop, nor the demo shop sells. None is in the bank, and none was
# looked at when the statistic or the threshold was chosen.
ELSEWHERE = """
a herd of zebras|lunar eclipse|concrete mixer|orchestra conductor|iceberg|railway tunnel|cheeseburger|supreme court
harbour crane|northern lights|kangaroo|lion hunting|earthquake damage|sumo wrestlers|rice terraces|jet engine|tornado
oil refinery|hot air balloon|stock exchange|open heart surgery|eiffel tower|ferris wheel|lobster dinner|cable car
aircraft carrier|wheat harvest|drilling platform|sheep shearing|scuba diver with a shark|snow plough|police car
paragliding|battle of waterloo|fossil skull|planet saturn|swarm of locusts|canyon|marching band|dental x-ray
construction site|pyramids of giza|ambulance|voting booth|street food stall|rodeo|coal mine|fishing harbour|blacksmith
monsoon rain|church wedding|roller coaster|gas station|hydroelectric dam|vineyard|baboon|windsurfing|tank division
"""

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_ALPHABETS = {
    "armenian": [chr(code) for code in range(0x561, 0x587)],
    "georgian": [chr(code) for code in range(0x10D0, 0x10F1)],
    "hebrew": [chr(code) for code in range(0x5D0, 0x5EB)],
}


def listed(text: str) -> list[str]:
    """The phrases of a list above."""
    return [phrase.strip() for line in text.strip().split("\n") for phrase in line.split("|")]


def catalogue_queries(path: Path, most: int = 300) -> dict[str, list[str]]:
    """What people type in a shop, from its catalogue: `short` ones of up to three words, and `long` ones.

    Types, colours with types, who it is for, titles, first sentences of descriptions.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found: set[str] = set()
    for row in rows:
        kind, colour = row["type"].lower(), row["color"].lower().split(",")[0]
        found |= {kind, f"{colour} {kind}", row["title"], row.get("description", "").split(".")[0]}
        found |= {f"{row[one].lower()} {kind}" for one in ("gender", "usage") if row.get(one)}
    ordered = sorted({query.strip() for query in found} - {""})
    np.random.default_rng(1).shuffle(ordered)
    short = [query for query in ordered if len(query.split()) <= 3]
    return {"short": short[:most], "long": [query for query in ordered if query not in short][:most]}


def nonsense(titles: Sequence[str]) -> dict[str, list[str]]:
    """Text that means nothing, by kind. titles: whose letters the made-up words and anagrams are of."""
    dice = np.random.default_rng(2)
    vocabulary = sorted({word for title in titles for word in title.lower().split() if word.isalpha()})
    kinds: dict[str, Callable[[], str]] = {
        "keyboard": lambda: _walk(dice),
        "made up": _speller(dice, vocabulary),
        "anagrams": lambda: _anagram(dice, vocabulary),
        "hexadecimal": lambda: dice.bytes(int(dice.integers(3, 9))).hex(),
        "other scripts": lambda: _letters(dice, _ALPHABETS[str(dice.choice(list(_ALPHABETS)))]),
    }
    return {
        name: [" ".join(make() for _ in range(int(dice.integers(1, 4)))) for _ in range(EACH)]
        for name, make in kinds.items()
    }


def _walk(dice: np.random.Generator) -> str:
    """A hand that wanders over neighbouring keys."""
    row, column, keys = int(dice.integers(3)), int(dice.integers(7)), []
    for _ in range(int(dice.integers(4, 9))):
        keys.append(_ROWS[row][column])
        row = min(max(row + int(dice.integers(-1, 2)), 0), 2)
        column = min(max(column + int(dice.integers(-1, 2)), 0), len(_ROWS[row]) - 1)
    return "".join(keys)


def _speller(dice: np.random.Generator, vocabulary: Sequence[str]) -> Callable[[], str]:
    """Words that look like the shop's and are none: each letter drawn given the two before it."""
    after: dict[str, list[str]] = {}
    for word in vocabulary:
        padded = f"^^{word}$"
        for start in range(len(padded) - 2):
            after.setdefault(padded[start : start + 2], []).append(padded[start + 2])

    def spell() -> str:
        while True:
            made = "^^"
            while len(made) < 14 and not made.endswith("$"):
                made += str(dice.choice(after[made[-2:]]))
            word = made[2:].rstrip("$")
            if len(word) >= 5 and word not in vocabulary:
                return word

    return spell


def _anagram(dice: np.random.Generator, vocabulary: Sequence[str]) -> str:
    letters = list(str(dice.choice([word for word in vocabulary if len(word) >= 5])))
    dice.shuffle(letters)
    return "".join(letters)


def _letters(dice: np.random.Generator, alphabet: Sequence[str]) -> str:
    return "".join(dice.choice(list(alphabet), int(dice.integers(3, 8))))
