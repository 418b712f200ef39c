"""Queries that mean nothing: random strings in nine scripts, made-up words, phrases that show nothing, drawn pictures.

Both lists are the same on every machine: they come from fixed seeds. Changing anything here changes `VERSION`, because
calibrations made with other queries are not comparable.
"""

import numpy as np
from PIL import Image

from retrieval.runtime.bank import pictures as drawn

VERSION = "1"
TEXTS, PICTURES = 256, 56

# Letters of one script each: a tower that reads a script well and one that takes it for unknown signs differ much.
_SCRIPTS = (
    "abcdefghijklmnopqrstuvwxyz",
    "abcdefghijklmnopqrstuvwxyz",
    "абвгдежзийклмнопрстуфхцчшщыэюя",
    "αβγδεζηθικλμνξοπρστυφχψω",
    "ابتثجحخدذرزسشصضطظعغفقكلمنهوي",
    ["का", "की", "कु", "गो", "चे", "जै", "टी", "डा", "तू", "दे", "नौ", "पा", "बि", "मी", "रु", "लो", "शा", "सी", "हा"],
    "가나다라마바사아자차카타파하거너더러머버서어저처커터퍼허",
    "かきくけこさしすせそたちつてとなにぬねのはひふへほまみむめも",
    [chr(code) for code in range(0x4E00, 0x9FA0, 37)],
    [chr(code) for code in range(0x0E01, 0x0E2F)],
)
_ONSETS = [*"bcdfghjklmnprstvwz", "br", "ch", "dr", "fl", "gl", "kr", "pl", "qu", "sh", "sk", "st", "tr"]
_VOWELS = ["a", "e", "i", "o", "u", "ai", "ea", "io", "oo", "ou"]
_ENDS = ["", "", "n", "r", "l", "s", "t", "x", "nd", "rk", "mp", "sh"]

_PHRASES = """
and so on|as far as I know|nothing at all|it depends|the day after tomorrow|why not|on the other hand|more or less
for the time being|I have no idea|once in a while|yes and no|in other words|to be honest|what it means|some of them
the reason for this|sooner or later|it does not matter|by and large|in principle|as a matter of fact|never mind
see above|to whom it may concern|the former and the latter|without any doubt|this and that|at the same time|if so
the opposite is true|according to the rules|a question of time|something else|one of these|the meaning of the word
twice as much|a kind of|of course not|all the same|under these conditions|not necessarily|until further notice
with regard to|an exception to the rule|whenever possible|the rest of it|a matter of opinion|how come|anyway
je ne sais pas|par exemple|das ist mir egal|und so weiter|no lo sé|por lo tanto|не знаю|и так далее
不知道|等等|わかりません|たとえば|لا أعرف|bilmiyorum|não sei|non importa
"""


def texts() -> list[str]:
    """The 256 texts, of one to four words: a third random letters, a third made-up words, codes, and phrases."""
    dice = np.random.default_rng(20_040)
    phrases = [phrase.strip() for line in _PHRASES.strip().split("\n") for phrase in line.split("|")]
    made: list[str] = []
    while len(made) < TEXTS - len(phrases):
        kind = len(made) % 5
        words = int(dice.integers(1, 4))
        if kind in (0, 1):
            script = _SCRIPTS[int(dice.integers(len(_SCRIPTS)))]
            made.append(" ".join(_letters(dice, script) for _ in range(words)))
        elif kind in (2, 3):
            made.append(" ".join(_made_up(dice) for _ in range(words)))
        else:
            made.append("".join(dice.choice(list("0123456789ABCDEFGHKLMNPRSTXZ-"), int(dice.integers(4, 12)))))
    return made + phrases


def _letters(dice: np.random.Generator, script: str | list[str]) -> str:
    return "".join(dice.choice(list(script), int(dice.integers(2, 10))))


def _made_up(dice: np.random.Generator) -> str:
    """Two to four syllables that can be spoken."""
    parts = [dice.choice(_ONSETS) + dice.choice(_VOWELS) for _ in range(int(dice.integers(2, 4)))]
    return "".join(parts) + str(dice.choice(_ENDS))


def pictures() -> list[Image.Image]:
    """The 56 RGB pictures: 32 drawn scenes of shapes and textures, plain colours, gradients, stripes, and noise."""
    dice = np.random.default_rng(20_041)
    return [*drawn(), *(_simple(dice, number) for number in range(PICTURES - len(drawn())))]


def _simple(dice: np.random.Generator, number: int) -> Image.Image:
    side = 128
    first, last = dice.integers(0, 256, (2, 3)).astype(np.float32)
    across = np.linspace(0, 1, side, dtype=np.float32)
    if number % 4 == 0:
        share = np.zeros((side, side), np.float32)
    elif number % 4 == 1:
        share = np.add.outer(across * dice.uniform(-1, 1), across * dice.uniform(-1, 1))
        share = (share - share.min()) / max(float(np.ptp(share)), 1e-6)
    elif number % 4 == 2:
        share = np.tile((np.sin(across * dice.uniform(10, 120)) > 0).astype(np.float32), (side, 1))
    else:
        coarse = int(dice.choice([4, 16, 128]))
        noise = dice.integers(0, 256, (coarse, coarse, 3)).astype(np.uint8)
        return Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)
    colours = first + share[..., None] * (last - first)
    return Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8))
