"""TREC judgements with what they judge: a folder of three files.

    queries.tsv   query id<tab>text
    images.tsv    document id<tab>path of the image
    qrels.txt     query id 0 document id grade    (or one file a split: qrels.test.txt, qrels.dev.txt)

All images answer and only judged queries ask; the judgements are read backwards too, for images that query texts.
"""

from dataclasses import replace
from pathlib import Path

from retrieval.errors import EvaluationError
from retrieval.evaluation.datasets.choices import choose_split, no_choice
from retrieval.evaluation.datasets.common import Options, check_unique, lines, located, malformed, set_name
from retrieval.evaluation.datasets.judged import judged_only, judged_set
from retrieval.evaluation.datasets.qrels import read_trec
from retrieval.evaluation.types import EvaluationSet, EvaluationText, Qrels


def is_trec(folder: Path) -> bool:
    """Whether a folder has queries and images in TREC's manner."""
    return (folder / "queries.tsv").is_file() and (folder / "images.tsv").is_file()


def read(path: Path, options: Options) -> EvaluationSet:
    """The set in one split. Raises EvaluationError."""
    no_choice(language=options.language, of=path.name)
    split, qrels = _qrels(path, options.split)
    texts = [EvaluationText(name, text) for name, text in _pairs(path / "queries.tsv")]
    named = _pairs(path / "images.tsv")
    found, notes = located([name for _, name in named], path / "images.tsv", options)
    images = [replace(found[name], image_id=document) for document, name in named if name in found]
    dropped = {document for document, name in named if name not in found}
    kept = {
        query: {document: grade for document, grade in grades.items() if document not in dropped}
        for query, grades in qrels.items()
    }
    return judged_set(set_name(path, split), path, judged_only(texts, kept), images, kept, notes=notes)


def _pairs(path: Path) -> list[tuple[str, str]]:
    pairs, bad = [], []
    for number, line in lines(path):
        name, tab, value = line.partition("\t")
        if tab and name.strip() and value.strip():
            pairs.append((name.strip(), value.strip()))
        else:
            bad.append(f"line {number}: not two fields with a tab between them")
    if bad:
        raise malformed(path, bad)
    check_unique([name for name, _ in pairs], "entries", path)
    return pairs


def _qrels(folder: Path, asked: str) -> tuple[str, Qrels]:
    files = {file.name[len("qrels.") : -len(".txt")]: file for file in sorted(folder.glob("qrels.*.txt"))}
    if not files and (folder / "qrels.txt").is_file():
        files = {"": folder / "qrels.txt"}
    if not files:
        raise EvaluationError(f"{folder} has no qrels.txt", hint="Put the judgements there, or in qrels.test.txt.")
    qrels = {split: read_trec(file) for split, file in files.items()}
    split = choose_split(asked, {name: len(found) for name, found in qrels.items()}, of=folder.name)
    return split, qrels[split]
