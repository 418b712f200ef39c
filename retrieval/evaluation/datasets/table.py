"""Small CSV files that a benchmark is made of: every row whole, or an error that names the lines."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from retrieval.evaluation.datasets.common import empty, malformed, unreadable


def rows(path: Path, needed: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """(line, cells by header) of a UTF-8 file with commas; cells are stripped, those needed are not empty.

    Raises EvaluationError for a file without rows or without a needed column, and for malformed rows with their lines.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise malformed(path, ["not UTF-8"]) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    found, bad = [], []
    try:
        header = [name.strip() for name in next(reader, [])]
        if not header:
            raise empty(path)
        if lacking := [column for column in needed if column not in header]:
            raise malformed(path, [f"no column {', '.join(lacking)}"])
        for cells in reader:
            if not any(cells):
                continue
            row = dict(zip(header, map(str.strip, cells), strict=False))
            if len(cells) != len(header):
                bad.append(f"line {reader.line_num}: {len(cells)} cells where the header has {len(header)}")
            elif not all(row[column] for column in needed):
                bad.append(f"line {reader.line_num}: {', '.join(needed)} must all be given")
            else:
                found.append((reader.line_num, row))
    except csv.Error as error:
        raise malformed(path, [f"line {reader.line_num}: {error}"]) from error
    if bad:
        raise malformed(path, bad)
    if not found:
        raise empty(path)
    return found
