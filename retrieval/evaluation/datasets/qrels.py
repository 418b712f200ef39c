"""Judgements from files: TREC's qrels and BEIR's tables, with unknown and malformed lines refused by number.

TREC: `query 0 document grade`, fields parted by blanks (https://trec.nist.gov/data/qrels_eng/).
BEIR: a header, then `query-id<tab>corpus-id<tab>score` (https://github.com/beir-cellar/beir).

Grades are whole numbers from -1,000 to 1,000; 1 and more is relevant. A pair that stands twice is
refused, even with one grade. The first line of a BEIR table is its header unless a number stands in the third field.
"""

from collections.abc import Callable
from pathlib import Path

from retrieval.evaluation.datasets.common import check_unique, lines, malformed


def read_trec(path: Path) -> dict[str, dict[str, int]]:
    """Query id -> document id -> grade. Raises EvaluationError."""

    def fields(line: str) -> tuple[str, str, str]:
        query, _, document, grade = line.split()
        return query, document, grade

    return _read(path, fields, "`query 0 document grade`", header=False)


def read_beir(path: Path) -> dict[str, dict[str, int]]:
    """Query id -> document id -> grade; the header may be missing. Raises EvaluationError."""

    def fields(line: str) -> tuple[str, str, str]:
        query, document, grade = line.split("\t")
        return query.strip(), document.strip(), grade

    return _read(path, fields, "`query-id<tab>corpus-id<tab>score`", header=True)


def grade_of(text: str) -> int:
    """The grade that a field states. Raises ValueError if it is no whole number, or so far out that gains overflow."""
    grade = int(text)
    if abs(grade) > 1_000:  # 2 ** 1,024 is no float64
        raise ValueError(f"{grade} is out of range")
    return grade


def _read(
    path: Path, fields: Callable[[str], tuple[str, str, str]], form: str, *, header: bool
) -> dict[str, dict[str, int]]:
    qrels: dict[str, dict[str, int]] = {}
    pairs, bad = [], []
    for position, (number, line) in enumerate(lines(path)):
        try:
            query, document, grade = fields(line)
            if header and position == 0 and not _is_number(grade):
                continue
            qrels.setdefault(query, {})[document] = grade_of(grade)
        except ValueError:
            bad.append(f"line {number}: not {form} with a whole number")
            continue
        pairs.append(f"{query} {document}")
    if bad:
        raise malformed(path, bad)
    check_unique(pairs, "judged pairs", path)
    return qrels


def _is_number(grade: str) -> bool:
    """Also true of `1.0`, which is no grade: such a first line is a malformed judgement and not a header."""
    try:
        float(grade)
    except ValueError:
        return False
    return True
