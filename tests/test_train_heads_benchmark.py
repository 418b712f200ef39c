"""The benchmark of trained heads: its two files share no item, and its figures say which way things went."""

import csv
import json
from pathlib import Path

import pytest

from benchmarks.held_out import Files, split
from benchmarks.train_heads import figures, judged
from tests.fakes import colour_model
from tests.training_data import write_catalogue


@pytest.fixture
def files(tmp_path: Path) -> Files:
    (tmp_path / "ikea").mkdir()
    shop = write_catalogue(tmp_path / "ikea", 60)
    with shop.open(newline="") as file:
        rows = list(csv.DictReader(file))
    catalogue = tmp_path / "ikea" / "products.csv"
    with catalogue.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "title", "type", "color", "description", "image"])
        writer.writeheader()
        writer.writerows(
            {
                "id": row["sku"],
                "title": row["name"],
                "color": row["colour"],
                **{k: row[k] for k in ("type", "description", "image")},
            }
            for row in rows
        )
    (tmp_path / "out").mkdir()
    return split(tmp_path, "ikea", tmp_path / "out")


def test_both_files_have_items_and_share_none(files: Files) -> None:
    ids = [{row["id"] for row in csv.DictReader(path.read_text().splitlines())} for path in (files.train, files.test)]
    assert all(ids)
    assert not ids[0] & ids[1]
    assert len(ids[0]) + len(ids[1]) == 60


def test_figures_are_paired_and_json(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.train_heads.load_encoder", colour_model)
    found = judged("colours", files)
    compared = figures(found, found)
    assert set(found) == {"title", "type, colour, description"}
    assert all(one["base"] == one["trained"] and one["p"] == 1 for one in compared.values())
    assert json.loads(json.dumps(compared)) == compared
