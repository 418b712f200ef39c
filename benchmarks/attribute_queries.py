"""Queries that a shop's visitor would type, made of attributes, with every item that fits as relevant.

`fashion`: colour, gender and type ("navy blue men's shirt"); its titles say these words themselves. `ikea`: colour, a
property that only the description names, and type ("white adjustable desk"). In other words (`other_words`): the same
wishes without the catalogue's own words for type and colour ("dark blue gents' button-up").
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Row = Mapping[str, str]


@dataclass(frozen=True)
class AttributeQuery:
    """relevant: ids of all the items that fit."""

    words: str
    relevant: frozenset[str]


GENDERS = {"Men": "men's", "Women": "women's", "Boys": "boys'", "Girls": "girls'"}
OTHER_GENDERS = {"Men": "gents'", "Women": "ladies'", "Boys": "young lads'", "Girls": "young misses'"}
FASHION_TEMPLATES = (
    "{colour} {gender} {type}",
    "{gender} {colour} {usage} {type}",
    "{gender} {type} in {colour}",
    "{usage} {colour} {type}, {gender}",
)
IKEA_TEMPLATES = ("{colour} {property} {type}", "{property} {type}, {colour}", "{type} in {colour}, {property}")

SINGULARS = {"Tshirts": "t-shirt", "Clutches": "clutch", "Dresses": "dress", "Watches": "watch", "Scarves": "scarf"}
PAIRS = {"Shoes", "Jeans", "Trousers", "Shorts", "Pants", "Socks", "Heels", "Flats", "Flops", "Sandals", "Briefs"}
PAIRS |= {"Sunglasses", "Cufflinks", "Stockings", "Gloves", "Leggings", "Capris", "Tights", "Boxers", "Vests"}

PROPERTIES = (
    "adjustable", "absorbent", "extendable", "stackable", "foldable", "waterproof", "washable", "removable",
    "reversible", "handmade", "handwoven", "cotton", "polyester", "wool", "bamboo", "porcelain", "tempered", "velvet",
    "rustic", "traditional", "modern", "timeless", "round", "sturdy", "lightweight", "hardwearing", "resistant",
    "energy", "dimmable", "castors", "drawers", "shelves", "hooks", "lid", "mirror", "children", "toys", "outdoor",
    "decorative", "soft", "cosy", "warm", "thick", "pine", "veneer", "steel", "plastic", "glass", "leather",
)  # fmt: skip

OTHER_COLOURS = {
    "navy blue": "dark indigo", "black": "jet", "blue": "azure", "white": "snowy", "grey": "ash", "brown": "chocolate",
    "red": "scarlet", "green": "emerald", "purple": "violet", "pink": "rose", "beige": "sand", "maroon": "burgundy",
    "yellow": "lemon", "olive": "khaki", "silver": "metallic", "orange": "tangerine", "cream": "ivory", "gold": "gilt",
    "tan": "caramel", "charcoal": "anthracite", "multicolour": "colourful", "black-brown": "espresso",
    "dark grey": "anthracite", "off-white": "ivory", "turquoise": "teal", "dark brown": "espresso",
    "pine": "blond wood", "stainless steel": "metal", "chrome-plated": "shiny metal", "light blue": "sky",
    "birch": "pale wood",
}  # fmt: skip
OTHER_TYPES = {
    "Tshirts": "tee", "Shirts": "button-up", "Casual Shoes": "everyday footwear", "Sports Shoes": "running trainers",
    "Kurtas": "long indian tunic", "Tops": "blouse", "Watches": "timepiece", "Handbags": "purse",
    "Sunglasses": "shades", "Heels": "stilettos", "Sweaters": "pullover", "Wallets": "billfold",
    "Flip Flops": "beach slippers", "Sandals": "open summer footwear", "Sweatshirts": "jumper",
    "Belts": "strap for the waist", "Trousers": "slacks", "Formal Shoes": "office footwear", "Socks": "hosiery",
    "Jeans": "denims", "Jackets": "coat", "Backpacks": "rucksack", "Flats": "ballerinas", "Briefs": "underpants",
    "Shorts": "bermudas", "Innerwear Vests": "undershirt", "Caps": "baseball hat", "Track Pants": "jogging bottoms",
    "Ties": "cravat", "Kurtis": "short indian tunic", "Dresses": "frock", "Scarves": "shawl",
    "Rug, flatwoven": "carpet", "Rug, high pile": "shaggy carpet", "Rug, low pile": "carpet", "Rug": "carpet",
    "Cushion cover": "pillow sham", "Wardrobe": "clothes closet", "Mirror": "looking glass", "Chair": "seat",
    "Pendant lamp": "hanging light", "Quilt cover and 4 pillowcases": "duvet set", "Plant pot": "flower planter",
    "Quilt cover and pillowcase": "duvet set", "Soft toy": "stuffed animal", "Throw": "blanket",
    "Coffee table": "low living room stand", "Curtains, 1 pair": "drapes", "Bath towel": "big bathroom cloth",
    "Table lamp": "bedside light", "Side table": "end stand", "Wall lamp": "sconce", "Swivel chair": "office seat",
    "Desk": "writing bureau", "Bed frame": "bedstead", "Three-seat sofa": "couch for three",
    "Two-seat sofa": "loveseat", "Armchair": "easy seat", "Work lamp": "reading light", "Footstool": "ottoman",
    "Bookcase": "shelves for novels", "Table": "dining board", "Frame": "picture surround", "Jar with lid": "canister",
    "Storage box": "container", "Box with lid": "container", "Basket": "hamper", "Mug": "coffee cup",
    "Wall clock": "timepiece", "Vase": "flower holder", "Stool": "backless seat", "Bedside table": "nightstand",
    "Chest of 3 drawers": "dresser", "Floor lamp": "standing light", "Oven": "baking appliance",
    "Knob": "furniture pull",
    "Bedspread": "coverlet", "Bowl": "dish", "Shower curtain": "bath drape", "Plate": "dinner dish",
}  # fmt: skip


def fashion_queries(rows: Iterable[Row], *, other_words: bool = False) -> list[AttributeQuery]:
    """One query for each gender, colour, type and, where its template names it, usage that the rows have."""
    wishes: dict[tuple[str, str, str, str], set[str]] = defaultdict(set)
    for row in rows:
        fits = (row["gender"], row["color"], row["type"])
        wishes[(*fits, "")].add(row["id"])
        wishes[(*fits, row["usage"])].add(row["id"])
    made = {}
    genders = OTHER_GENDERS if other_words else GENDERS
    for (gender, colour, kind, usage), relevant in wishes.items():
        template = _drawn(FASHION_TEMPLATES, f"{gender} {colour} {kind}")
        if gender not in genders or not colour or bool(usage) != ("{usage}" in template):
            continue
        single = SINGULARS.get(kind) or (kind if kind.split()[-1] in PAIRS else kind.removesuffix("s"))
        named = _named(colour, kind if other_words else single, other_words)
        if named is not None:
            words = template.format(colour=named[0], gender=genders[gender], type=named[1], usage=usage.lower())
            made[words] = relevant | made.get(words, set())
    return [AttributeQuery(words, frozenset(relevant)) for words, relevant in sorted(made.items())]


def ikea_queries(rows: Sequence[Row], *, other_words: bool = False) -> list[AttributeQuery]:
    """One query for each item's type and first colour, with a property that its description names."""
    made: dict[str, set[str]] = {}
    described = [set(re.findall("[a-z]+", row["description"].lower())) for row in rows]
    for row, has in zip(rows, described, strict=True):
        colour, kind = row["color"].split(",")[0].strip(), row["type"]
        title = set(re.findall("[a-z]+", row["title"].lower()))
        properties = [name for name in PROPERTIES if name in has and name not in title]
        named = _named(colour, kind, other_words) if colour else None
        if named is None or not properties:
            continue
        wanted = _drawn(properties, row["id"])
        words = _drawn(IKEA_TEMPLATES, row["id"]).format(colour=named[0], property=wanted, type=named[1])
        relevant = {
            other["id"]
            for other, others in zip(rows, described, strict=True)
            if other["type"] == kind and other["color"].split(",")[0].strip() == colour and wanted in others
        }
        made[words] = relevant | made.get(words, set())
    return [AttributeQuery(words, frozenset(relevant)) for words, relevant in sorted(made.items())]


def description_queries(rows: Iterable[Row]) -> list[AttributeQuery]:
    """The first eight words of each item's description: what it is for, seldom what it is."""
    made: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row["description"]:
            made[" ".join(row["description"].split()[:8]).rstrip(".,;")].add(row["id"])
    return [AttributeQuery(words, frozenset(relevant)) for words, relevant in sorted(made.items())]


def without_attributes(rows: Sequence[Row]) -> list[str]:
    """Titles of `fashion` that give nothing away: without every word that is a gender, colour, type or usage of any."""
    named = ("gender", "color", "type", "usage", "subcategory", "category")
    hidden = {word for row in rows for name in named for word in _stems(row[name])}
    hidden |= {"tee", "unisex", "man", "woman", "lady", "ladie", "watch", "clutch", "dress", "scarf"}
    return [" ".join(word for word in row["title"].split() if not _stems(word) & hidden) for row in rows]


def _named(colour: str, kind: str, other_words: bool) -> tuple[str, str] | None:
    if other_words:
        other = OTHER_COLOURS.get(colour.lower()), OTHER_TYPES.get(kind)
        return None if other[0] is None or other[1] is None else (other[0], other[1])
    return colour.lower(), kind.lower()


def _stems(text: str) -> set[str]:
    return {word.removesuffix("s") for word in re.findall("[a-z]+", text.lower().replace("t-shirt", "tshirt"))}


def _drawn(choices: Sequence[str], name: str) -> str:
    """Always the same one for a name."""
    return choices[int(hashlib.sha256(name.encode()).hexdigest(), 16) % len(choices)]
