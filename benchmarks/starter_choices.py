"""What the starter is made of, chosen on validation pictures: which text tower, one view or several, what is averaged.

    python -m benchmarks.starter_choices --data DIR --cache DIR [--out benchmarks/results/starter_choices.jsonl]

The same data and cache as `python -m retrieval.training.recipes.starter`. Each line is one pair of heads on the
pretrained towers, trained for 8 epochs, which is enough to tell them apart; nothing held out is looked at.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.environment import describe
from retrieval.arrays import FloatArray
from retrieval.encoders.towers import minilm, sentence
from retrieval.training.fit import Settings, fit
from retrieval.training.inputs import Views
from retrieval.training.pairs import pair
from retrieval.training.probes import mean_success_at_1, probes_of
from retrieval.training.recipes.starter import HEADS_SETTINGS, VIEWS, Material, features_of, gather
from retrieval.training.tail import Tail

SETTINGS = replace(HEADS_SETTINGS, epochs=8, patience=8)
BOTH = (0, sentence.DIMENSION + minilm.DIMENSION)


@dataclass(frozen=True)
class Variant:
    """text: from which to which column of the text features. views: how many of the pictures' views."""

    text: tuple[int, int] = BOTH
    views: int = VIEWS
    settings: Settings = SETTINGS


VARIANTS: Mapping[str, Variant] = {
    "multilingual text tower": Variant(text=(0, sentence.DIMENSION)),
    "English text tower": Variant(text=(sentence.DIMENSION, BOTH[1])),
    "both text towers": Variant(),
    "both, the picture as it is only": Variant(views=1),
    "both, no running average": Variant(settings=replace(SETTINGS, average=0.0)),
    "both, two texts a picture": Variant(settings=replace(SETTINGS, texts_per_picture=2)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    material, tail = gather(arguments.data, arguments.cache), Tail()
    rows, judging = material.rows("train"), material.rows("validation")
    views = [features_of(maps, rows, tail) for maps in material.maps]
    gallery = features_of(material.maps[0], judging, tail)
    for name, variant in VARIANTS.items():
        line = {
            "benchmark": "starter_choices",
            "variant": name,
            "validation": validation(variant, material, views, gallery),
            **describe(),
        }
        print(json.dumps(line), flush=True)
        if arguments.out:
            with arguments.out.open("a") as out:
                out.write(json.dumps(line) + "\n")


def validation(
    variant: Variant, material: Material, views: list[FloatArray], gallery: FloatArray
) -> dict[str, list[float]]:
    """text_to_image success@1 and @10 of heads of this kind, by set and language."""
    texts = np.ascontiguousarray(material.texts[:, slice(*variant.text)])
    pairs = pair([material.examples[row].texts for row in material.rows("train")])
    examples = [material.examples[row] for row in material.rows("validation")]
    probes = probes_of(examples, "validation", gallery, texts, material.numbers)
    fitted = fit(
        Views(*views[: variant.views]),
        texts[[material.numbers[text] for text in pairs.texts]],
        pairs,
        lambda image, text: mean_success_at_1(probes, image, text),
        variant.settings,
    )
    return {probe.name: [round(figure, 4) for figure in probe.success(fitted.image, fitted.text)] for probe in probes}


if __name__ == "__main__":
    main()
