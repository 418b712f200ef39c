"""One small captioned set, written in every format that is read: what is read must be the same."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from retrieval.evaluation.types import EvaluationSet

Captions = Mapping[str, Sequence[str]]
COLOURS = {
    "images/red.jpg": ["A red wall.", "Red paint , still wet ."],
    "images/green.jpg": ["A green wall.", "Grass seen from above .", "A lawn"],
    "images/dark blue.jpg": ["The sea at night ."],
}


def picture(colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(out, "JPEG")
    return out.getvalue()


def write_images(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture())


def write_lines(path: Path, values: Sequence[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values), encoding="utf-8")
    return path


def as_captions(folder: Path, captions: Captions, split: str = "test") -> Path:
    lines = [{"image": name, "split": split, "en": own} for name, own in captions.items()]
    return write_lines(folder / "captions.jsonl", lines)


def as_one_caption_a_line(folder: Path, captions: Captions) -> Path:
    lines = [{"image": name, "caption": text} for name, own in captions.items() for text in own]
    return write_lines(folder / "one.jsonl", lines)


def as_karpathy(folder: Path, captions: Captions, split: str = "test") -> Path:
    images = [
        {
            "filepath": name.rpartition("/")[0],
            "filename": name.rpartition("/")[2],
            "split": split,
            "sentences": [{"raw": text, "tokens": text.split()} for text in own],
        }
        for name, own in captions.items()
    ]
    path = folder / "dataset_colours.json"
    path.write_text(json.dumps({"images": images, "dataset": "colours"}), encoding="utf-8")
    return path


def as_token(folder: Path, captions: Captions) -> Path:
    path = folder / "results.token"
    lines = [f"{name}#{number}\t{text}\n" for name, own in captions.items() for number, text in enumerate(own)]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def as_beir(folder: Path, captions: Captions, split: str = "test") -> Path:
    home = folder / "beir"
    texts = [(name, f"{name}#{number}", text) for name, own in captions.items() for number, text in enumerate(own)]
    write_lines(home / "corpus.jsonl", [{"_id": name, "title": "", "text": "", "image": name} for name in captions])
    write_lines(home / "queries.jsonl", [{"_id": text_id, "text": text} for _, text_id, text in texts])
    (home / "qrels").mkdir()
    rows = [f"{text_id}\t{name}\t1\n" for name, text_id, _ in texts]
    (home / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(rows), encoding="utf-8")
    return home


def as_trec(folder: Path, captions: Captions) -> Path:
    """Ids without blanks, as the format wants them, so not the same ids as in the other forms."""
    home = folder / "trec"
    home.mkdir()
    numbers = {name: f"d{number}" for number, name in enumerate(captions)}
    texts = [
        (numbers[name], f"{numbers[name]}#{n}", text) for name, own in captions.items() for n, text in enumerate(own)
    ]
    (home / "images.tsv").write_text("".join(f"{number}\t{name}\n" for name, number in numbers.items()))
    (home / "queries.tsv").write_text("".join(f"{text_id}\t{text}\n" for _, text_id, text in texts))
    (home / "qrels.txt").write_text("".join(f"{text_id} 0 {number} 1\n" for number, text_id, _ in texts))
    return home


def as_tar(path: Path, captions: Captions, *odd: tarfile.TarInfo) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for number, own in enumerate(captions.values()):
            for suffix, data in ((".jpg", picture()), (".txt", "\n".join(own).encode())):
                entry = tarfile.TarInfo(f"{number:04d}{suffix}")
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        for entry in odd:
            archive.addfile(entry, io.BytesIO(b"\0" * entry.size))
    return path


def content(found: EvaluationSet) -> tuple[object, ...]:
    """All of a set but its name, its notes, the images' bytes and what only some formats know."""
    return (
        [image.image_id for image in found.images],
        [(text.text_id, text.text) for text in found.texts],
        found.tasks,
    )
