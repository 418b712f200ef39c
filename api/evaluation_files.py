"""The folder that `catalens eval --out` writes, and how it is read back."""

import json
import re
from pathlib import Path
from urllib.parse import quote

from api.evaluation_page import write_page
from retrieval.errors import SourceError, StorageError
from retrieval.evaluation import saved
from retrieval.evaluation.summary import to_json
from retrieval.evaluation.trec import write_run
from retrieval.evaluation.types import Evaluation, Task

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
        for direction, result in evaluation.results.items():
            (folder / f"{direction}.qrels").write_text(
                _qrels(result.task), encoding="utf-8", errors="surrogateescape", newline="\n"
            )
    except OSError as error:
        raise StorageError(
            f"{error.filename or folder} cannot be written: {error.strerror or error}",
            hint="give another folder to --out, or make room",
        ) from error
    saved.save(folder / QUERIES, evaluation)
    for direction, result in evaluation.results.items():
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


def _qrels(task: Task) -> str:
    """Lines of `query 0 document grade`. Ids are percent-encoded exactly when `write_run` encodes those of the run."""
    encode = any(re.search(r"\s", name) for ids in (task.query_ids, task.document_ids) for name in ids)

    def written(name: str) -> str:
        return re.sub(r"[\s%]", lambda match: quote(match[0], safe=""), name) if encode else name

    return "".join(
        f"{written(query)} 0 {written(document)} {grade}\n"
        for query in task.query_ids
        for document, grade in task.qrels.get(query, {}).items()
    )
