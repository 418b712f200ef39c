"""Catalogue files: every format, every way they come broken, and how rows become items."""

import csv
import datetime
import json
import os
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from indexer.sources import Rejected, SourceItem, open_source
from indexer.sources.photos import NOT_A_FILE_REASON, NOT_A_PATH_REASON, OUTSIDE_REASON, URL_REASON
from retrieval.errors import SourceError


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with photos `images/1.jpg` to `images/5.jpg` and one whose name has every separator."""
    folder = tmp_path / "shop"
    (folder / "images").mkdir(parents=True)
    for name in ["1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg", "a, b;c|d.jpg", "a.jpg,b.jpg"]:
        (folder / "images" / name).write_bytes(b"")
    return folder


def write(folder: Path, text: str | bytes, name: str = "products.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def entries(path: Path, **options: Any) -> tuple[list[SourceItem], list[Rejected]]:
    found = list(open_source(path, **options).items())
    return (
        [entry for entry in found if isinstance(entry, SourceItem)],
        [entry for entry in found if isinstance(entry, Rejected)],
    )


def names(item: SourceItem) -> list[str]:
    return [photo.name for photo in item.photos]


# Formats


def test_csv(shop: Path) -> None:
    path = write(
        shop,
        '\ufeffid, title ,price,stock,new,description,image\r\n'
        'A1, "Red, ""big"" dress" ,12.50,3,yes,"two\r\nlines",images/1.jpg\r\n'
        "\r\n"
        "A2,Blue sock,,4,no,,images/2.jpg\r\n",
    )  # fmt: skip
    source = open_source(path)
    assert list(source.items()) == [
        SourceItem(
            item_id="A1",
            title='Red, "big" dress',
            photos=(shop / "images/1.jpg",),
            texts={"description": "two\r\nlines"},
            attributes={"price": 12.5, "stock": 3, "new": True},
            where="products.csv line 2",
        ),
        SourceItem(
            item_id="A2",
            title="Blue sock",
            photos=(shop / "images/2.jpg",),
            attributes={"price": None, "stock": 4, "new": False},
            where="products.csv line 5",
        ),
    ]
    assert list(source.items()) == list(source.items())
    assert (source.kind, source.location, source.count()) == ("table", path, 2)


@pytest.mark.parametrize("name", ["p.csv", "p.tsv", "p.txt", "P.CSV"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(shop: Path, name: str, delimiter: str) -> None:
    rows = [["id", "title", "price", "image"], ["1", "x", "2.5", "1.jpg"], ["2", "y z", "", "2.jpg"]]
    items, rejected = entries(write(shop, "\n".join(map(delimiter.join, rows)), name))
    assert [item.item_id for item in items] == ["1", "2"]
    assert not rejected


def test_other_delimiters_inside_cells_do_not_mislead(shop: Path) -> None:
    text = "id;title, long;image\n1;Red, blue, green, white;1.jpg|2.jpg\n2;One, two;3.jpg\n"
    items, _ = entries(write(shop, text), title_column="title, long")
    assert [(item.title, names(item)) for item in items] == [
        ("Red, blue, green, white", ["1.jpg", "2.jpg"]),
        ("One, two", ["3.jpg"]),
    ]


def test_a_single_column_is_a_catalogue(shop: Path) -> None:
    items, _ = entries(write(shop, "image\nimages/1.jpg\nimages\\2.jpg\n"))
    assert [(item.item_id, item.title) for item in items] == [("images/1.jpg", "1"), ("images/2.jpg", "2")]
    assert [photo.is_file() for item in items for photo in item.photos] == [True, True]


@pytest.mark.parametrize(
    ("encoding", "title"),
    [("utf-8", "Chaussée 红"), ("utf-8-sig", "Chaussée 红"), ("cp1252", "Chaussée €"), ("utf-16", "Chaussée 红")],
)
def test_encodings(shop: Path, encoding: str, title: str) -> None:
    items, _ = entries(write(shop, f"id,title,image\n1,{title},1.jpg\n".encode(encoding)))
    assert [(item.item_id, item.title) for item in items] == [("1", title)]


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_a_bad_byte_costs_its_row_and_not_the_file(shop: Path, start: bytes) -> None:
    (shop / "images" / "rosé.jpg").write_bytes(b"")
    rows = ["1,Chaussée,rosé.jpg\n".encode(), b"2,caf\xe9,1.jpg\n", b"3,plain,2.jpg\n", "4,红,3.jpg\n".encode()]
    items, rejected = entries(write(shop, start + b"id,title,image\n" + b"".join(rows)))
    assert [(item.title, names(item)) for item in items] == [
        ("Chaussée", ["rosé.jpg"]),
        ("plain", ["2.jpg"]),
        ("红", ["3.jpg"]),
    ]
    assert rejected == [Rejected("products.csv line 3", "holds bytes that are not UTF-8", unreadable=True)]


def test_a_bad_byte_past_the_first_block(shop: Path) -> None:
    rows = [f"{n},Größe {'x' * 90},1.jpg\n".encode() for n in range(15_000)]
    rows[12_345] = b"12345,Gr\xf6\xdfe,1.jpg\n"
    items, rejected = entries(write(shop, b"id,title,image\n" + b"".join(rows)))
    assert (len(items), items[-1].title[:5]) == (14_999, "Größe")
    assert [entry.where for entry in rejected] == ["products.csv line 12347"]


def test_a_bad_byte_in_the_header(shop: Path) -> None:
    with pytest.raises(SourceError, match="not a header: holds bytes that are not UTF-8"):
        open_source(write(shop, b"id,pr\xefs,title,image\n" + "1,2,é,1.jpg\n".encode() * 3))


@pytest.mark.parametrize(
    ("encoding", "header", "title"),
    [
        ("gb18030", "名称", "红色连衣裙，棉"),
        ("cp1252", "Größe", "Röcke für Mädchen"),
        ("cp1252", "Größe", "plain"),  # every byte of it is valid GB18030
        ("cp1252", "Prix", "Été à la mer"),
    ],
)
def test_files_that_are_not_utf8(shop: Path, encoding: str, header: str, title: str) -> None:
    text = f"id,{header},title,image\n" + "".join(f"{n},7,{title},1.jpg\n" for n in range(3))
    items, rejected = entries(write(shop, text.encode(encoding)))
    assert [(item.title, item.attributes) for item in items] == [(title, {header: 7})] * 3
    assert not rejected


def test_a_chinese_file_that_is_damaged_later_on(shop: Path) -> None:
    rows = "红色连衣裙,1.jpg\n".encode("gb18030") * 80_000 + b"\xff\n"
    items, _ = entries(write(shop, b"title,image\n" + rows))
    assert items[0].title == "红色连衣裙".encode("gb18030").decode("cp1252", "replace")


def test_bytes_of_no_encoding_do_not_stop_the_reading(shop: Path) -> None:
    items, _ = entries(write(shop, b"id,title,image\n1,caf\xe9 \x81,1.jpg\n"))
    assert items[0].title == "café \ufffd"


def test_unnamed_and_repeated_headers(shop: Path) -> None:
    items, _ = entries(write(shop, ",id,colour,colour,image,image\n0,A,red,blue,1.jpg,2.jpg\n"))
    assert items[0].attributes == {"colour": "red", "colour 2": "blue"}
    assert names(items[0]) == ["1.jpg", "2.jpg"]


HEADERS = ["id", "unit  price", "unit price", " image\n", " "]
CELLS = ["A", "1", "2", "1.jpg", "not read"]


@pytest.mark.parametrize("name", ["p.csv", "p.jsonl", "p.parquet"])
def test_all_formats_clean_their_headers_alike(shop: Path, name: str) -> None:
    path = shop / name
    if name == "p.csv":
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([HEADERS, CELLS])
    elif name == "p.jsonl":
        path.write_text(json.dumps(dict(zip(HEADERS, CELLS, strict=True))))
    else:
        parquet.write_table(pa.table([[cell] for cell in CELLS], names=HEADERS), path)
    items, _ = entries(path)
    assert {key: str(value) for key, value in items[0].attributes.items()} == {"unit price": "1", "unit price 2": "2"}
    assert (items[0].item_id, names(items[0])) == ("A", ["1.jpg"])


@pytest.mark.parametrize("separator", ["|", ";", "\n"])
@pytest.mark.parametrize("name", ["p.csv", "p.jsonl"])
def test_what_separates_photos_is_counted(shop: Path, name: str, separator: str) -> None:
    cell = separator.join(["1.jpg", "2.jpg", "3.jpg"])
    text = f'id,image\n1,"{cell}"\n' if name == "p.csv" else json.dumps({"id": 1, "image": cell})
    source = open_source(write(shop, text, name))
    assert source.count() == sum(len(item.photos) for item in source.items() if isinstance(item, SourceItem)) == 3


def test_broken_rows_are_rejected_with_their_lines(shop: Path) -> None:
    long_cell = "x" * 200_000
    text = (
        "id,title,image\n"
        "1,too few\n"
        "2,too,many,cells\n"
        "3,fine,1.jpg,,\n"
        f'4,"{long_cell}",1.jpg\n'
        "5,a\0b,1.jpg\n"
        "6,fine too,2.jpg\n"
        '7,"never closed,3.jpg\n'
        "8,lost,4.jpg\n"
    )
    items, rejected = entries(write(shop, text))
    assert [item.item_id for item in items] == ["3", "6"]
    assert all(entry.unreadable for entry in rejected)
    assert [(entry.where, entry.reason) for entry in rejected] == [
        ("products.csv line 2", "2 cells where the header has 3"),
        ("products.csv line 3", "4 cells where the header has 3"),
        ("products.csv line 5", "cannot be read as far as line 5: field larger than field limit (131072); "
         "is a quote left open?"),
        ("products.csv line 6", "binary data"),
        ("products.csv line 8", "a quote is left open: lines 8 to 9 are lost"),
    ]  # fmt: skip


def test_an_open_quote_costs_a_bounded_number_of_rows(shop: Path) -> None:
    rows = [f"{n},title {n},1.jpg" for n in range(20_000)]
    rows[10] = '10,"open,1.jpg'
    items, rejected = entries(write(shop, "id,title,image\n" + "\n".join(rows)))
    assert len(rejected) == 1
    assert "is a quote left open?" in rejected[0].reason
    assert items[-1].item_id == "19999"
    assert len(items) > 10_000


@pytest.mark.parametrize("name", ["p.csv", "p.jsonl", "p.parquet"])
@pytest.mark.parametrize("content", [b"", b"\n \n", random.Random(0).randbytes(5000), b"\x89PNG\r\n\x1a\n\0\0"])
def test_files_that_are_no_catalogue(shop: Path, name: str, content: bytes) -> None:
    path = write(shop, content, name)
    with pytest.raises(SourceError, match=str(path)) as caught:
        open_source(path)
    assert caught.value.hint


def test_a_header_alone_is_no_catalogue(shop: Path) -> None:
    with pytest.raises(SourceError, match="has no rows"):
        open_source(write(shop, "id,title,image\n"))
    parquet.write_table(pa.table({"image": pa.array([], pa.string())}), shop / "p.parquet")
    with pytest.raises(SourceError, match="has no rows"):
        open_source(shop / "p.parquet")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file whose reading fails, for any user")
def test_a_file_that_the_system_will_not_read(shop: Path, suffix: str) -> None:
    path = shop / f"p{suffix}"
    path.symlink_to("/proc/self/mem")
    with pytest.raises(SourceError, match=r"cannot read .*p\."):
        open_source(path)


def test_json_lines(shop: Path) -> None:
    rows = [
        {"id": 7.0, "title": " Dress ", "image": ["1.jpg", "2.jpg"], "price": 12, "tags": ["a", 1], "size": {"w": 3}},
        {"id": "8", "title": None, "image": "3.jpg", "price": float("nan"), "new": True, "code": "0012"},
    ]
    lines = [json.dumps(rows[0]), "", '{"id": 1, ', "[1]", '{"id": "\\ud800"}', "[" * 100_000, json.dumps(rows[1])]
    path = write(shop, "\ufeff" + "\n".join(lines), "p.ndjson")
    items, rejected = entries(path)
    assert [(item.item_id, item.title, names(item), item.attributes) for item in items] == [
        ("7", "Dress", ["1.jpg", "2.jpg"], {"price": 12, "tags": ["a", "1"], "size": '{"w": 3}', "new": None,
                                            "code": None}),
        ("8", "3", ["3.jpg"], {"price": None, "new": True, "code": "0012", "tags": None, "size": None}),
    ]  # fmt: skip
    assert [entry.where for entry in rejected] == [f"p.ndjson line {n}" for n in (3, 4, 5, 6)]
    assert rejected[1].reason == "not a JSON object: it is list"
    assert open_source(path).count() == 3


def test_a_json_line_that_is_not_utf8(shop: Path) -> None:
    items, rejected = entries(write(shop, b'{"id": 1, "image": "1.jpg"}\n{"id": "\xff"}\n', "p.jsonl"))
    assert (len(items), [(entry.where, entry.unreadable) for entry in rejected]) == (1, [("p.jsonl line 2", True)])


def test_json_in_one_array_is_refused_with_a_hint(shop: Path) -> None:
    with pytest.raises(SourceError, match="is one JSON array") as caught:
        open_source(write(shop, '\ufeff[\n{"image": "1.jpg"},\n{"image": "2.jpg"}\n]', "p.jsonl"))
    assert "one object a line" in caught.value.hint


def test_json_lines_without_an_object(shop: Path) -> None:
    with pytest.raises(SourceError, match=r"no line of .* is a JSON object"):
        open_source(write(shop, '"1.jpg"\n"2.jpg"\n', "p.jsonl"))


def test_captions_in_a_list_become_title_and_description(shop: Path) -> None:
    path = write(shop, json.dumps({"image": "1.jpg", "en": ["A dog .", "A black dog", "Dog"]}), "p.jsonl")
    items, _ = entries(path, title_column="en")
    assert (items[0].title, items[0].texts) == ("A dog .", {"description": "A black dog\nDog"})


def test_parquet(shop: Path) -> None:
    table = pa.table(
        {
            " id ": [1, 2],
            "name": ["Dress", "Sock"],
            "images": [["1.jpg", "2.jpg"], None],
            "price": [12.5, float("nan")],
            "added": [datetime.date(2024, 5, 1), None],
            "tags": [["a", "b"], []],
            "thumbnail": [b"\xff\xd8", b""],
            "embedded": [{"bytes": b"x", "path": "1.jpg"}, None],
            "colour": pa.array(["red", "red"]).dictionary_encode(),
        }
    )
    parquet.write_table(table, shop / "p.parquet", row_group_size=1)
    source = open_source(shop / "p.parquet")
    assert list(source.items()) == [
        SourceItem(
            item_id="1",
            title="Dress",
            photos=(shop / "images/1.jpg", shop / "images/2.jpg"),
            attributes={"price": 12.5, "added": "2024-05-01", "tags": ["a", "b"], "colour": "red"},
            where="p.parquet row 1",
        ),
        SourceItem(
            item_id="2",
            title="Sock",
            photos=(),
            attributes={"price": None, "added": None, "tags": [], "colour": "red"},
            where="p.parquet row 2",
        ),
    ]
    assert source.count() == 2


def test_a_parquet_file_damaged_inside(shop: Path) -> None:
    path = shop / "p.parquet"
    values = [f"{random.Random(n).random()}.jpg" for n in range(5000)]
    parquet.write_table(pa.table({"image": values}), path, use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[4:60] = bytes(56)
    path.write_bytes(content)
    with pytest.raises(SourceError, match="cannot read"):
        list(open_source(path).items())


def test_pictures_inside_a_table_are_not_photos(shop: Path) -> None:
    parquet.write_table(pa.table({"id": [1], "image": [b"\xff\xd8"]}), shop / "p.parquet")
    with pytest.raises(SourceError, match="its columns are id") as caught:
        open_source(shop / "p.parquet")
    assert "inside a table" in caught.value.hint


# Rows and items


def test_rows_that_continue_the_item_above(shop: Path) -> None:
    text = (
        "handle,title,size,image\n"
        ",,,\n"  # nothing above: nothing to continue
        "dress,Red dress,S,1.jpg\n"
        "dress,,M,2.jpg\n"
        "dress,,L,1.jpg\n"
        ",,XL,3.jpg\n"
        ",,XXL,\n"
        "sock,Blue sock,S,4.jpg\n"
    )
    items, rejected = entries(write(shop, text))
    assert [(item.item_id, names(item), item.attributes) for item in items] == [
        ("dress", ["1.jpg", "2.jpg", "3.jpg"], {"size": "S"}),
        ("sock", ["4.jpg"], {"size": "S"}),
    ]
    assert not rejected


def test_rows_that_cannot_be_items(shop: Path) -> None:
    text = (
        "id,title,image\n"
        "a,First,1.jpg\n"
        "a,Second,2.jpg\n"
        "a,,3.jpg\n"  # continues the rejected row, not the first
        "b,,\n"
        ",No id,1.jpg\n"
        "b,Later,1.jpg\n"
        "c,No photo,\n"
        "a,,4.jpg\n"
    )
    items, rejected = entries(write(shop, text))
    assert [(item.item_id, names(item)) for item in items] == [("a", ["1.jpg"]), ("b", ["1.jpg"]), ("c", [])]
    first = "duplicate id 'a', first on line 2; "
    assert rejected == [
        Rejected("products.csv line 3", first + "rows need their own ids: choose another column with --id-column"),
        Rejected("products.csv line 4", "continues a row that was refused"),
        Rejected("products.csv line 5", "neither a title nor a photo"),
        Rejected("products.csv line 6", "no id in column 'id'"),
        Rejected(
            "products.csv line 9",
            first + "rows of one item must stand together, or choose another column with --id-column",
        ),
    ]


def test_a_row_that_repeats_the_id_is_not_lost_behind_a_broken_one(shop: Path) -> None:
    items, rejected = entries(write(shop, "id,title,image\na,A,1.jpg\nbroken\na,,2.jpg\n,,3.jpg\nb,B,4.jpg\n"))
    assert [(item.item_id, names(item)) for item in items] == [("a", ["1.jpg", "2.jpg", "3.jpg"]), ("b", ["4.jpg"])]
    assert [entry.where for entry in rejected] == ["products.csv line 3"]


def test_a_first_row_that_continues_nothing(shop: Path) -> None:
    items, rejected = entries(write(shop, "id,title,image\n,,1.jpg\n,,2.jpg\nb,B,3.jpg\n"))
    assert [(item.item_id, names(item)) for item in items] == [("b", ["3.jpg"])]
    assert [entry.reason for entry in rejected] == ["no id in column 'id'", "continues a row that was refused"]


def test_a_broken_row_ends_the_item_above(shop: Path) -> None:
    items, rejected = entries(write(shop, "id,title,image\na,A,1.jpg\nbroken\n,,2.jpg\nb,B,3.jpg\n"))
    assert [(item.item_id, names(item)) for item in items] == [("a", ["1.jpg"]), ("b", ["3.jpg"])]
    assert [(entry.where, entry.unreadable) for entry in rejected] == [
        ("products.csv line 3", True),
        ("products.csv line 4", False),
    ]
    assert rejected[1].reason == "continues a row that was refused"


def test_blank_rows_are_not_counted(shop: Path) -> None:
    items, rejected = entries(write(shop, "id,title,image\n,,\na,A,1.jpg\na,B,2.jpg\n,,\n , ,\n"))
    assert [item.item_id for item in items] == ["a"]
    assert [entry.where for entry in rejected] == ["products.csv line 4"]


def test_without_titles_a_missing_id_is_a_mistake(shop: Path) -> None:
    items, rejected = entries(write(shop, "id,image\na,1.jpg\na,2.jpg\n,3.jpg\n"))
    assert [(item.title, names(item)) for item in items] == [("1", ["1.jpg", "2.jpg"])]
    assert [entry.reason for entry in rejected] == ["no id in column 'id'"]


def test_without_an_id_column_the_photo_is_the_id(shop: Path) -> None:
    items, rejected = entries(write(shop, "image,label\n1.jpg,cat\n2.jpg,\n,dog\n1.jpg,lion\n"))
    assert [(item.item_id, item.title) for item in items] == [("1.jpg", "cat"), ("2.jpg", "2")]
    assert [entry.reason[:30] for entry in rejected] == ["neither an id nor a photo", "duplicate id '1.jpg', first on"]


def test_descriptions_facets_and_a_column_of_the_same_name(shop: Path) -> None:
    text = (
        "id,title,body_html,summary,facets,brand,image\n"
        "1,A,<p>Soft</p>,Short,colour:red|colour:blue|brand:Acme,Own,1.jpg\n"
        "2,B,,,new,Own,2.jpg\n"
    )
    items, _ = entries(write(shop, text))
    assert items[0].texts == {"description": "Soft\nShort"}
    assert items[0].attributes == {"colour": ["red", "blue"], "brand": "Own"}
    assert items[1].texts == {}
    assert items[1].attributes == {"facets": "new", "brand": "Own"}


def test_a_padded_export_with_variants(shop: Path) -> None:
    text = (
        "name    ,slug    ,assets           ,facets      ,sku ,price\n"
        'Laptop  ,laptop  ,"1.jpg|2.jpg"    ,brand:Apple ,L-1 ,1299.00\n'
        "        ,        ,                 ,            ,L-2 ,1399.00\n"
        "Mouse   ,mouse   ,3.jpg            ,            ,M-1 ,18.99\n"
    )
    path = write(shop, text)
    items, rejected = entries(path)
    assert [(item.item_id, item.title, names(item)) for item in items] == [
        ("laptop", "Laptop", ["1.jpg", "2.jpg"]),
        ("mouse", "Mouse", ["3.jpg"]),
    ]
    assert items[0].attributes == {"brand": "Apple", "sku": "L-1", "price": 1299.0}
    assert not rejected
    by_sku, rejected = entries(path, id_column="SKU")
    assert [item.item_id for item in by_sku] == ["L-1", "M-1"]
    assert [entry.reason for entry in rejected] == ["neither a title nor a photo"]


# Photos


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("1.jpg", ["1.jpg"]),
        ("images/1.jpg", ["1.jpg"]),
        ("images\\1.jpg", ["1.jpg"]),
        ("./images/../images/1.jpg", ["1.jpg"]),
        ("1.jpg|2.jpg", ["1.jpg", "2.jpg"]),
        ("1.jpg; 2.jpg ;", ["1.jpg", "2.jpg"]),
        ("1.jpg\n2.jpg", ["1.jpg", "2.jpg"]),
        ("1.jpg, 2.jpg", ["1.jpg", "2.jpg"]),
        ("1.jpg,2.jpg|3.jpg", ["1.jpg", "2.jpg", "3.jpg"]),
        ('["1.jpg", "2.jpg"]', ["1.jpg", "2.jpg"]),
        ("[1].jpg", ["[1].jpg"]),
        ("red, blue.jpg", ["red, blue.jpg"]),
        ("a, b;c|d.jpg", ["a, b;c|d.jpg"]),
        ("a.jpg,b.jpg", ["a.jpg,b.jpg"]),
        ("missing.jpg", ["missing.jpg"]),
        ("x" * 5000 + ".jpg", ["x" * 5000 + ".jpg"]),
    ],
)
def test_photos_of_a_cell(shop: Path, cell: str, expected: list[str]) -> None:
    items, _ = entries(write(shop, json.dumps({"id": "1", "image": cell}), "p.jsonl"))
    assert names(items[0]) == expected
    assert items[0].problems == ()
    assert all(photo.is_absolute() for photo in items[0].photos)


def test_lists_without_end_name_no_photo(shop: Path) -> None:
    nested = "[" * 900 + "]" * 900
    lines = [f'{{"id": 1, "title": "a", "image": {nested}}}', f'{{"id": 2, "title": {nested}, "image": "{nested}"}}']
    path = write(shop, "\n".join(lines), "p.jsonl")
    assert [entry.where for entry in open_source(path).items()] == ["p.jsonl line 1", "p.jsonl line 2"]


def test_several_columns_of_photos(shop: Path) -> None:
    items, _ = entries(write(shop, "id,image1,image_2,additional_images\n1,1.jpg,2.jpg,3.jpg|4.jpg\n2,5.jpg,,\n"))
    assert [names(item) for item in items] == [["1.jpg", "2.jpg", "3.jpg", "4.jpg"], ["5.jpg"]]


def test_where_relative_paths_are_looked_up(shop: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "photos"
    elsewhere.mkdir()
    (elsewhere / "1.jpg").write_bytes(b"")
    path = write(shop, "id,image\na,1.jpg\nb,2.jpg\nc,none.jpg\n")
    without, _ = entries(path)
    assert [item.photos[0] for item in without] == [shop / "images/1.jpg", shop / "images/2.jpg", shop / "none.jpg"]
    given, _ = entries(path, images_dir=elsewhere)
    assert [item.photos[0] for item in given] == [elsewhere / "1.jpg", shop / "images/2.jpg", elsewhere / "none.jpg"]


def test_paths_that_lead_out_of_the_catalogue_are_refused(shop: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.jpg").write_bytes(b"")
    (shop / "linked.jpg").symlink_to(outside / "secret.jpg")
    (shop / "linked").symlink_to(outside)
    (tmp_path / "shopping").mkdir()
    (tmp_path / "shopping/b.jpg").write_bytes(b"")
    refused = [
        "../outside/secret.jpg",
        "..\\outside\\secret.jpg",
        str(outside / "secret.jpg"),
        "linked.jpg",
        "linked/secret.jpg",
        "linked/missing.jpg",
        "images/../../outside/secret.jpg",
        "../shopping/b.jpg",
        "/etc/passwd",
    ]
    lines = [json.dumps({"id": str(n), "title": "t", "image": name}) for n, name in enumerate(refused)]
    path = write(shop, "\n".join(lines), "p.jsonl")
    items, _ = entries(path)
    assert [item.photos for item in items] == [()] * len(refused)
    assert [item.problems for item in items] == [((name, OUTSIDE_REASON),) for name in refused]
    allowed, _ = entries(path, images_dir=outside)
    assert [bool(item.photos) for item in allowed] == [True] * 7 + [False, False]


def test_an_absolute_path_inside_is_allowed(shop: Path) -> None:
    items, _ = entries(write(shop, f"id,image\n1,{shop}/images/1.jpg\n"))
    assert items[0].photos == (shop / "images/1.jpg",)


def test_a_catalogue_reached_through_a_link(shop: Path, tmp_path: Path) -> None:
    write(shop, "id,image\n1,1.jpg\n")
    (tmp_path / "alias").symlink_to(shop)
    items, _ = entries(tmp_path / "alias/products.csv")
    assert items[0].photos == (tmp_path / "alias/images/1.jpg",)
    assert items[0].problems == ()


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("https://example.com/a.jpg", URL_REASON),
        ("HTTP://example.com/a.jpg", URL_REASON),
        ("//cdn.example.com/a.jpg", URL_REASON),
        ("data:image/png;base64,AAAA", URL_REASON),
        ("a\0.jpg", NOT_A_PATH_REASON),
        ("images", NOT_A_FILE_REASON),
        ("pipe.jpg", NOT_A_FILE_REASON),
    ],
)
def test_a_refused_photo_leaves_the_rest_of_the_row(shop: Path, written: str, reason: str) -> None:
    os.mkfifo(shop / "pipe.jpg")
    path = write(shop, json.dumps({"id": "1", "title": "Dress", "image": [written, "1.jpg"]}), "p.jsonl")
    items, rejected = entries(path)
    assert (items[0].title, names(items[0]), items[0].problems) == ("Dress", ["1.jpg"], ((written, reason),))
    assert not rejected


def test_a_refused_photo_is_shown_in_short(shop: Path) -> None:
    url = "data:image/png;base64," + "A" * 10_000
    items, _ = entries(write(shop, json.dumps({"id": "1", "title": "t", "image": url}), "p.jsonl"))
    assert items[0].problems == ((url[:300], URL_REASON),)


def test_an_images_dir_that_is_not_there(shop: Path) -> None:
    with pytest.raises(SourceError, match=r"--images-dir .* is not a folder"):
        open_source(write(shop, "image\n1.jpg\n"), images_dir=shop / "gone")


def test_columns_given_by_flag_reach_the_mapping(shop: Path) -> None:
    path = write(shop, "key no,thumb,words,id\nk,1.jpg,Dress,7\n")
    items, _ = entries(path, id_column="key_no", image_column="thumb", title_column="words")
    assert [(item.item_id, item.title, names(item), item.attributes) for item in items] == [
        ("k", "Dress", ["1.jpg"], {"id": 7})
    ]
    with pytest.raises(SourceError, match="no column 'thum'"):
        open_source(path, image_column="thum")
