"""Photos and the product they show: does a photo from the shelf find its product?

    shelf_photos.csv   image, product_id; further columns are attributes
    products.csv       id, title, image (several with `|` between), beside it

The shelf photos ask: image_to_image for their product's photos among those of all products, image_to_text for its
title. Products that no shelf photo shows stay as wrong answers. Products with equal titles share one text.
"""

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from retrieval.errors import EvaluationError
from retrieval.evaluation.datasets.choices import no_choice
from retrieval.evaluation.datasets.common import (
    Options,
    check_unique,
    image_id,
    located,
    set_name,
    some,
)
from retrieval.evaluation.datasets.judged import judged_set, merged_texts
from retrieval.evaluation.datasets.table import rows
from retrieval.evaluation.types import EvaluationImage, EvaluationSet, EvaluationText

PRODUCTS = "products.csv"
_PHOTO_COLUMNS = ("image", "product_id")
_PRODUCT_COLUMNS = ("id", "title", "image")


def is_pairs(path: Path) -> bool:
    """Whether a CSV file has the columns of photos, and the products beside it."""
    if path.name == PRODUCTS or not (path.parent / PRODUCTS).is_file():
        return False
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
    return set(_PHOTO_COLUMNS) <= set(header)


def read(path: Path, options: Options) -> EvaluationSet:
    """The set. Raises EvaluationError."""
    no_choice(split=options.split, language=options.language, of=path.name)
    photos = [row for _, row in rows(path, _PHOTO_COLUMNS)]
    products = [row for _, row in rows(path.parent / PRODUCTS, _PRODUCT_COLUMNS)]
    check_unique([row["id"] for row in products], "products", path.parent / PRODUCTS)
    check_unique([image_id(row["image"]) for row in photos], "images", path)
    _check_products(path, [row["product_id"] for row in photos], {row["id"] for row in products})

    shelf, notes = located([row["image"] for row in photos], path, options)
    photos = [row for row in photos if row["image"] in shelf]
    queries = [replace(shelf[row["image"]], attributes=_attributes(row, _PHOTO_COLUMNS)) for row in photos]
    images, images_of, more = _product_photos(path.parent / PRODUCTS, products, options)
    texts, text_of, shared = _titles(products)
    notes += more
    if shared:
        notes.append(f"{shared:,} titles belong to several products and are one text each")

    shown = {image_id(row["image"]): row["product_id"] for row in photos}
    to_images = {photo: dict.fromkeys(images_of[product], 1) for photo, product in shown.items()}
    to_texts = {photo: {text_of[product]: 1} for photo, product in shown.items()}
    by_image = judged_set(set_name(path), path, queries, images, to_images, notes=notes)
    by_text = judged_set(set_name(path), path, queries, texts, to_texts, backwards=False)
    return replace(by_image, texts=by_text.texts, tasks=by_image.tasks + by_text.tasks)


def _product_photos(
    path: Path, products: list[dict[str, str]], options: Options
) -> tuple[list[EvaluationImage], dict[str, list[str]], list[str]]:
    """The photos, each once and with the attributes of the first product it shows; their ids by product; notes."""
    names = {row["id"]: [name.strip() for name in row["image"].split("|") if name.strip()] for row in products}
    found, notes = located([name for own in names.values() for name in own], path, options, total="product photos")
    images: dict[str, EvaluationImage] = {}
    for row in products:
        for name in names[row["id"]]:
            if name in found:
                image = replace(found[name], attributes=_attributes(row, _PRODUCT_COLUMNS))
                images.setdefault(image.image_id, image)
    ids = {product: [found[name].image_id for name in own if name in found] for product, own in names.items()}
    return list(images.values()), ids, notes


def _titles(products: list[dict[str, str]]) -> tuple[list[EvaluationText], dict[str, str], int]:
    """The texts, the id of each product's text, and how many texts belong to several products."""
    texts, products_of, shared = merged_texts(
        (EvaluationText(row["id"], row["title"], attributes=_attributes(row, _PRODUCT_COLUMNS)), [row["id"]])
        for row in products
    )
    return texts, {product: text for text, own in products_of.items() for product in own}, shared


def _check_products(path: Path, named: list[str], known: set[str]) -> None:
    unknown = [product for product in dict.fromkeys(named) if product not in known]
    if unknown:
        raise EvaluationError(
            f"{len(unknown):,} of {len(set(named)):,} products that {path.name} names are not in {PRODUCTS}: "
            f"{some(unknown)}",
            hint=f"Add them to {PRODUCTS}, or remove their photos.",
        )


def _attributes(row: Mapping[str, str], used: tuple[str, ...]) -> dict[str, str]:
    return {name: cell for name, cell in row.items() if name and name not in used and cell}
