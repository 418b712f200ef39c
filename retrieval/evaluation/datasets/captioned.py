"""Images with captions of their own become an evaluation set in both directions."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from retrieval.errors import EvaluationError
from retrieval.evaluation.datasets.common import some
from retrieval.evaluation.datasets.judged import judged_set, merged_texts
from retrieval.evaluation.types import EvaluationImage, EvaluationSet, EvaluationText


def captioned_set(
    name: str,
    path: Path,
    images: Sequence[EvaluationImage],
    captions: Mapping[str, Sequence[str]],
    *,
    language: str = "",
    merge_equal: bool = False,
    notes: Iterable[str] = (),
) -> EvaluationSet:
    """Every caption asks for its image, every image for its captions.

    captions: by image id; a caption's id is the image's, `#`, and its position from 0. Blank captions are left out
    and counted in the notes. An image without captions in this language stays to be found, and asks nothing.
    merge_equal: captions that say the same are one text with all their images relevant. Papers on Flickr and COCO
    keep them apart, so that only one image counts; for short names, where many images are called `A cat.`, that
    would count right answers as wrong.

    Raises EvaluationError as judged_set does.
    """
    entries, blank, without = [], 0, 0
    for image in images:
        own = captions.get(image.image_id, ())
        said = [(number, text.strip()) for number, text in enumerate(own) if text.strip()]
        blank += len(own) - len(said)
        without += not said
        for number, text in said:
            entry = EvaluationText(f"{image.image_id}#{number}", text, language, image.attributes)
            entries.append((entry, (image.image_id,)))
    notes = [*notes]
    if blank:
        notes.append(f"{blank:,} of {blank + len(entries):,} captions are blank and were left out")
    if without:
        notes.append(
            f"{without:,} of {len(images):,} images have no caption in {language or 'the set'}: "
            "they can be found, and ask nothing"
        )
    if merge_equal:
        texts, qrels, shared = merged_texts(entries)
        if shared:
            notes.append(f"{shared:,} of {len(texts):,} captions belong to several images, all of them relevant")
    else:
        texts = [text for text, _ in entries]
        qrels = {text.text_id: dict.fromkeys(relevant, 1) for text, relevant in entries}
    return judged_set(name, path, texts, images, qrels, notes=notes)


def require_captions(captions: Mapping[str, object], path: Path) -> None:
    """Raises EvaluationError if an image has no captions at all. captions: by image, something empty if none."""
    without = [name for name, found in captions.items() if not found]
    if without:
        raise EvaluationError(
            f"{len(without):,} of {len(captions):,} images of {path.name} have no caption: {some(without)}",
            hint="Remove them from the file, or give them captions.",
        )
