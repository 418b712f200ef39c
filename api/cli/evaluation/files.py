"""The folder that `catalens eval --out` writes, and how it is read back."""

import json
from pathlib import Path

from api.cli.evaluation.page import write_page
from retrieval.errors import SourceError, StorageError
from retrieval.evaluation import saved
from retrieval.evaluation.evaluation import Evaluation
from retrieval.evaluation.summary import to_json
from retrieval.evaluation.trec import write_qrels, write_run

QUERIES = "queries.jsonl"


def write_folder(folder: Path, evaluation: Evaluation) -> None:
    """Write report.json, report.html, queries.jsonl (one line a query, with its figures: what `compare` reads), and
    for each direction a TREC run and its qrels, `text_to_image.run` and `text_to_image.qrels`.

    Raises StorageError when the disk refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        report = json.dumps(to_json(evaluation), indent=2) + "\n"
        (folder / "report.json").write_text(report, encoding="utf-8", newline="\n")
    except OSError as error:
        raise StorageError(
            f"{error.filename or folder} cannot be written: {error.strerror or error}",
            hint="give another folder to --out, or make room",
        ) from error
    saved.save(folder / QUERIES, evaluation)
    for direction, result in evaluation.results.items():
        write_qrels(folder / f"{direction}.qrels", result.task)
        write_run(folder / f"{direction}.run", result.task, result.ranking, f"catalens-{evaluation.model}")
    write_page(folder / "report.html", evaluation)


def read_folder(folder: Path) -> saved.SavedEvaluation:
    """The evaluation that was written there. Raises SourceError when there is none."""
    if not (folder / QUERIES).is_file():
        raise SourceError(
            f"{folder} holds no evaluation ({QUERIES} is missing)",
            hint=f"make one with: catalens eval DATASET --out {folder}",
        )
    return saved.load(folder / QUERIES)
