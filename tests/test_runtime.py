"""Encoders on OpenVINO: exported, judged, found again without torch, and never loaded when something is wrong."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from indexer.pipeline import index_sources
from indexer.sources import open_source
from retrieval import encoders
from retrieval.encoders import load_encoder, openclip
from retrieval.encoders.base import DualEncoder
from retrieval.encoders.heads import Head, load_heads
from retrieval.encoders.projected import ProjectedEncoder
from retrieval.encoders.towers.embedding import EmbeddingTowers, identity_head
from retrieval.encoders.towers.graphs import GraphSource
from retrieval.encoders.trained import write_trained
from retrieval.errors import ExportError, QueryError
from retrieval.runtime import bank, choose, names, store
from retrieval.runtime.export import Exported, export
from retrieval.runtime.gate import EXACT, agreement
from retrieval.runtime.openvino_graph import OpenVinoGraph, convert
from retrieval.search import Searcher
from tests.test_openclip import tiny_folder
from tests.test_pipeline import paint

ROOT = Path(__file__).parent.parent
Warnings = Callable[[], list[str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny open_clip model and a cache with its export."""
    model = tiny_folder(tmp_path_factory.mktemp("model"))
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CATALENS_CACHE", str(cache))
        export(load_encoder(str(model), runtime="torch"))
    return model, cache


@pytest.fixture
def model(made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its name; the test may do what it likes with the cache."""
    shutil.copytree(made[1], tmp_path / "cache")
    monkeypatch.setenv("CATALENS_CACHE", str(tmp_path / "cache"))
    return str(made[0])


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATALENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CATALENS_RUNTIME", raising=False)
    monkeypatch.setattr(choose, "_said", set())


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Warnings:
    return lambda: [record.message for record in caplog.records if record.name == "catalens"]


def folder_of(model: str) -> Path:
    key = names.key_for(model)
    assert key is not None
    return store.exports_dir() / key


def runs_exported(encoder: Any) -> bool:
    return not encoder.graph_sources()


def assert_same_vectors(found: DualEncoder, expected: DualEncoder, threshold: float = EXACT) -> None:
    pixels = np.stack([expected.preprocess(picture) for picture in bank.pictures(12)])
    np.testing.assert_array_equal(np.stack([found.preprocess(picture) for picture in bank.pictures(12)]), pixels)
    assert agreement(expected.encode_images(pixels), found.encode_images(pixels)).lowest >= threshold
    texts = bank.awkward_texts()
    assert agreement(expected.encode_texts(texts), found.encode_texts(texts)).lowest >= threshold


# --- an export is the same encoder ---


def test_an_export_gives_torchs_vectors_under_torchs_fingerprint(model: str) -> None:
    torchs, found = load_encoder(model, runtime="torch"), load_encoder(model)
    assert not runs_exported(torchs)
    assert runs_exported(found)
    assert found.spec == torchs.spec
    assert_same_vectors(found, torchs)


@pytest.mark.parametrize("rows", [0, 1, 2, 7, 8, 65])
def test_any_number_of_rows(model: str, rows: int) -> None:
    found, torchs = load_encoder(model), load_encoder(model, runtime="torch")
    pixels = np.random.default_rng(rows).integers(0, 256, (rows, 32, 32, 3), dtype=np.uint8)
    texts = [f"text {'word ' * (row % 9)}{row}" for row in range(rows)]
    for got, expected in (
        (found.encode_images(pixels), torchs.encode_images(pixels)),
        (found.encode_texts(texts), torchs.encode_texts(texts)),
    ):
        assert got.shape == (rows, 32)
        assert got.dtype == np.float32
        assert rows == 0 or agreement(expected, got).lowest >= EXACT


def test_a_collection_made_in_torch_is_searched_on_openvino(model: str, tmp_path: Path) -> None:
    for colour in ("red", "green", "blue"):
        paint(tmp_path / "photos" / f"{colour}.png", colour)
    index_sources(tmp_path / "shop", [open_source(tmp_path / "photos")], load_encoder(model, runtime="torch"))
    answers = []
    for runtime in ("torch", "openvino"):
        with Searcher.open(tmp_path / "shop", runtime=runtime) as searcher:
            assert runs_exported(searcher.encoder) is (runtime == "openvino")
            answers.append(searcher.search("a red mug").hits + searcher.search(image=tmp_path / "photos/red.png").hits)
    for one, other in zip(*answers, strict=True):
        assert one.item_id == other.item_id
        assert one.score == pytest.approx(other.score, abs=0.03)


# --- what was asked for ---


def test_auto_without_an_export_is_torch_and_says_nothing(tmp_path: Path, said: Warnings) -> None:
    assert not runs_exported(load_encoder(str(tiny_folder(tmp_path / "model"))))
    assert said() == []
    assert not store.exports_dir().exists()


def test_openvino_exports_first_and_says_so_once(tmp_path: Path, said: Warnings) -> None:
    name = str(tiny_folder(tmp_path / "model"))
    for _ in range(2):
        assert runs_exported(load_encoder(name, runtime="openvino"))
    (only,) = said()
    assert "exporting" in only


def test_auto_exports_when_many_pictures_are_to_come(tmp_path: Path) -> None:
    name = str(tiny_folder(tmp_path / "model"))
    assert not runs_exported(load_encoder(name, pictures=choose.EXPORT_PAYS - 1))
    assert runs_exported(load_encoder(name, pictures=choose.EXPORT_PAYS))


def test_the_environment_chooses_and_a_word_of_the_caller_wins(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATALENS_RUNTIME", "torch")
    assert not runs_exported(load_encoder(model))
    assert runs_exported(load_encoder(model, runtime="openvino"))
    monkeypatch.setenv("CATALENS_RUNTIME", "tensorrt")
    with pytest.raises(QueryError, match="no runtime 'tensorrt'"):
        load_encoder(model)


def test_features_say_what_computed_them(model: str) -> None:
    assert EmbeddingTowers(load_encoder(model, runtime="torch")).runtime == "torch"
    assert EmbeddingTowers(load_encoder(model)).runtime == choose.runtime_of(model)
    assert choose.runtime_of(model).startswith("openvino (")


def test_runtime_of_a_model_in_words(model: str, tmp_path: Path) -> None:
    assert choose.runtime_of(model).startswith("openvino (image ")
    assert choose.runtime_of(str(tiny_folder(tmp_path / "other", seed=4))) == "torch"
    (folder_of(model) / "graphs" / "image.xml").write_text("damaged")
    assert choose.runtime_of(model).startswith("torch (the export of")


# --- the gate ---


def doctored(encoder: Any, side: str, change: Callable[[torch.Tensor], torch.Tensor]) -> DualEncoder:
    """The encoder, whose exporter is given another graph than torch runs."""
    source: GraphSource = encoder.graph_sources()[side]

    class Changed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = source.module()

        def forward(self, given: torch.Tensor) -> torch.Tensor:
            return change(self.inner(given))

    encoder._sources = {**encoder.graph_sources(), side: replace(source, module=lambda: Changed().eval())}
    return encoder


def tilted(degrees: float) -> Callable[[torch.Tensor], torch.Tensor]:
    """Turns each vector by this angle."""

    def change(vectors: torch.Tensor) -> torch.Tensor:
        other = torch.roll(vectors, 1, dims=1)
        other = other - vectors * (other * vectors).sum(1, keepdim=True) / (vectors * vectors).sum(1, keepdim=True)
        other = other * vectors.norm(dim=1, keepdim=True) / other.norm(dim=1, keepdim=True)
        return vectors * np.cos(np.radians(degrees)) + other * np.sin(np.radians(degrees))

    return change


@pytest.mark.parametrize("side", ["image", "text"])
def test_other_vectors_are_refused_with_the_figure(tmp_path: Path, side: str, said: Warnings) -> None:
    name = str(tiny_folder(tmp_path / "model"))
    with pytest.raises(ExportError, match=rf"its {side} vectors are not torch's .*f32 0\.998[56].*{EXACT}"):
        export(doctored(load_encoder(name, runtime="torch"), side, tilted(3)))  # cos 3° = 0.99863
    assert names.key_for(name) is None
    assert not list(store.exports_dir().glob("*/manifest.json"))
    assert not runs_exported(load_encoder(name))


def test_vectors_that_are_near_enough_pass(tmp_path: Path) -> None:
    name = str(tiny_folder(tmp_path / "model"))
    done = export(doctored(load_encoder(name, runtime="torch"), "image", tilted(1)))  # cos 1° = 0.99985
    assert EXACT <= list(done.gates["image"].values())[-1].lowest < 0.99999


def test_pictures_of_the_user_are_compared_too(tmp_path: Path) -> None:
    name = str(tiny_folder(tmp_path / "model"))

    def only_white(vectors: torch.Tensor) -> torch.Tensor:
        near = (vectors - white).norm(dim=1, keepdim=True) < 0.02 * white.norm()  # bfloat16 is off by 0.005
        return torch.where(near, -vectors, vectors)

    encoder: Any = load_encoder(name, runtime="torch")
    picture = Image.new("RGB", (50, 40), "white")
    white = torch.from_numpy(encoder._graphs["image"](encoder.preprocess(picture)[None]))
    export(doctored(load_encoder(name, runtime="torch"), "image", only_white))
    with pytest.raises(ExportError, match="image vectors are not torch's"):
        export(doctored(load_encoder(name, runtime="torch"), "image", only_white), pictures=[picture])


def test_an_operation_that_openvino_lacks(tmp_path: Path, said: Warnings, monkeypatch: pytest.MonkeyPatch) -> None:
    name = str(tiny_folder(tmp_path / "model"))

    def strange(vectors: torch.Tensor) -> torch.Tensor:
        return vectors + 0 * torch.linalg.eigvalsh(vectors[:, :4, None] * vectors[:, None, :4]).sum()

    load = choose.export_now
    monkeypatch.setattr(
        choose, "export_now", lambda encoder, *, required: load(doctored(encoder, "text", strange), required=required)
    )
    with pytest.raises(ExportError, match=r"OpenVINO cannot take its graph: .*eigvalsh"):
        load_encoder(name, runtime="openvino")
    assert not runs_exported(load_encoder(name, pictures=choose.EXPORT_PAYS))
    assert sum("runs in torch: OpenVINO cannot take its graph" in message for message in said()) == 1


def test_a_tokenizer_that_needs_torch_is_no_reason_to_stop(
    tmp_path: Path, said: Warnings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openclip.open_clip, "get_tokenizer", lambda _: Shifted())
    name = str(tiny_folder(tmp_path / "model"))
    assert not runs_exported(load_encoder(name, pictures=choose.EXPORT_PAYS))
    assert sum("runs in torch: its tokenizer (Shifted) cannot be had" in message for message in said()) == 1
    with pytest.raises(ExportError, match="its tokenizer"):
        load_encoder(name, runtime="openvino")


class Shifted(openclip.open_clip.SimpleTokenizer):
    """A tokenizer with another vocabulary."""

    def __call__(self, texts: Any, context_length: int | None = None) -> torch.Tensor:
        return torch.roll(super().__call__(texts, context_length), 1, dims=1)


def test_a_graph_that_fails_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = OpenVinoGraph(tmp_path / "text.xml", "f32")

    class Refusing:
        def infer(self, _: Any) -> Any:
            raise RuntimeError("Exception from src/cpu.cpp:1:\nout of memory\n")

        def export_model(self) -> bytes:
            raise RuntimeError("not implemented")

        create_infer_request = lambda self: self  # noqa: E731

    monkeypatch.setattr(graph, "_compile", lambda _: Refusing())
    with pytest.raises(ExportError, match=r"OpenVINO cannot run .*text\.xml: out of memory"):
        graph(np.zeros((1, 3), dtype=np.int64))
    with pytest.raises(ExportError, match=r"OpenVINO cannot write what it compiled of .*not implemented"):
        graph.compiled_bytes()


def a_trained_folder(folder: Path, model: str, image: Head) -> ProjectedEncoder:
    towers = EmbeddingTowers(load_encoder(model, runtime="torch"))
    write_trained(folder, image=image, text=identity_head(32), towers=towers, facts={}, extra={})
    return load_encoder(str(folder))  # type: ignore[return-value]


def test_heads_trained_later_share_the_export(model: str, tmp_path: Path) -> None:
    encoder = a_trained_folder(tmp_path / "heads", model, identity_head(32))
    assert runs_exported(encoder.towers.encoder)  # type: ignore[attr-defined]
    assert_same_vectors(encoder, load_encoder(str(tmp_path / "heads"), runtime="torch"))
    assert list(folder_of(model).glob("passed-*"))
    assert choose.runtime_of(str(tmp_path / "heads")).startswith("openvino")


def test_heads_that_stretch_the_difference_run_in_torch(model: str, tmp_path: Path, said: Warnings) -> None:
    """A head that looks only at how far a vector is from one of the bank's: what rounding changes is all it sees."""
    features = safetensors.torch.load_file(folder_of(model) / "bank.safetensors")["image.torch"][0].numpy()
    head = replace(identity_head(32), mean=features.astype(np.float16).astype(np.float32))
    encoder = a_trained_folder(tmp_path / "heads", model, head)
    assert not runs_exported(encoder.towers.encoder)  # type: ignore[attr-defined]
    (only,) = said()
    assert f"the image vectors of {tmp_path / 'heads'} on OpenVINO have a cosine of" in only
    assert "runs in torch" in only
    with pytest.raises(ExportError, match="the image vectors of"):
        load_encoder(str(tmp_path / "heads"), runtime="openvino")


def test_an_export_judged_behind_heads_is_judged_again_without_them(tmp_path: Path, said: Warnings) -> None:
    """Heads that give one vector for all pictures hide that the graph is 3 degrees off."""
    name = str(tiny_folder(tmp_path / "model"))
    blind = replace(identity_head(32), linear=np.zeros((32, 32), np.float32), bias=np.ones(32, np.float32))
    a_trained_folder(tmp_path / "heads", name, blind)
    towers = EmbeddingTowers(doctored(load_encoder(name, runtime="torch"), "image", tilted(3)))
    export(ProjectedEncoder(towers, load_heads(tmp_path / "heads" / "heads.safetensors"), str(tmp_path / "heads")))
    assert names.key_for(name) is not None
    assert not runs_exported(load_encoder(name))
    assert "the image vectors of" in said()[0]


def test_another_spelling_finds_the_export(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    real = encoders._in_torch
    monkeypatch.setattr(encoders, "_in_torch", lambda name: loaded.append(name) or real(model))
    monkeypatch.setattr(choose, "export_now", lambda *_, **__: pytest.fail("exported anew"))
    for runtime in ("openvino", "auto"):
        assert runs_exported(load_encoder("as/others::spell-it", runtime=runtime))
    assert loaded == ["as/others::spell-it"]


def test_a_refusal_is_remembered_until_it_is_asked_for(
    tmp_path: Path, said: Warnings, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = str(tiny_folder(tmp_path / "model"))
    encoder = load_encoder(name, runtime="torch")
    with pytest.raises(ExportError):
        export(doctored(encoder, "image", tilted(3)))
    assert not runs_exported(load_encoder(name, pictures=choose.EXPORT_PAYS))
    (only,) = said()
    assert "runs in torch" in only
    assert "image vectors are not torch's" in only
    assert runs_exported(load_encoder(name, runtime="openvino"))
    assert store.refusal(encoder) == ""


def test_the_runtime_in_words_knows_the_environment(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    for value in ("torch", "openvino", "tensorrt"):
        monkeypatch.setenv("CATALENS_RUNTIME", value)
        said.append(choose.runtime_of(model))
    assert said[0] == "torch ($CATALENS_RUNTIME)"
    assert said[1].startswith("openvino (image ")
    assert said[2].startswith("none ($CATALENS_RUNTIME: there is no runtime 'tensorrt'")


# --- a cache that is not what it was ---


def test_a_model_whose_weights_changed_has_no_export(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "model")
    export(load_encoder(str(folder), runtime="torch"))
    assert runs_exported(load_encoder(str(folder)))
    tiny_folder(folder, seed=1)
    assert not runs_exported(load_encoder(str(folder)))


def test_a_model_that_was_only_touched_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_folder(tmp_path / "model")
    export(load_encoder(str(folder), runtime="torch"))
    os.utime(folder / "open_clip_model.safetensors", ns=(1, 1))
    hashed = []
    monkeypatch.setattr(names, "sha256_of", lambda path: hashed.append(path.name) or store.sha256_of(path))
    for _ in range(2):
        assert runs_exported(load_encoder(str(folder)))
    assert hashed == ["open_clip_model.safetensors"]


def test_another_preprocessing_is_another_export(tmp_path: Path) -> None:
    """The same weights, prepared in another way, must not meet the first one's graph."""
    keys = [
        store.key_of(load_encoder(str(tiny_folder(tmp_path / str(n), **given)), runtime="torch"))  # type: ignore[arg-type]
        for n, given in enumerate([{}, {"mean": [0.5] * 3}, {"resize_mode": "squash"}])
    ]
    assert len(set(keys)) == 3


DAMAGED = ["graphs/image.blob", "graphs/image.xml", "graphs/text.bin", "unpacked/merges.txt", "manifest.json"]


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
@pytest.mark.parametrize("file", DAMAGED)
def test_a_damaged_export_is_not_loaded(model: str, file: str, damage: str, said: Warnings) -> None:
    path = folder_of(model) / file
    data = bytearray(path.read_bytes())
    path.unlink()
    if damage == "changed":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    assert not runs_exported(load_encoder(model))
    (only,) = said()
    assert "damaged" in only
    assert "runs in torch" in only
    assert "catalens export" in only
    if damage == "changed":
        assert runs_exported(load_encoder(model, runtime="openvino"))  # which makes it again
        assert_same_vectors(load_encoder(model), load_encoder(model, runtime="torch"))


def test_a_file_changed_without_a_trace_in_its_size(model: str) -> None:
    """The same size and time, written over: the system's change time tells."""
    path = folder_of(model) / "graphs" / "text.bin"
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ExportError, match=r"text\.bin was changed"):
        store.Export(folder_of(model)).check()


def test_a_copied_cache_is_hashed_and_taken(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = []
    real = store.sha256_of
    monkeypatch.setattr(store, "sha256_of", lambda path: hashed.append(path.name) or real(path))
    shutil.copytree(tmp_path / "cache", tmp_path / "elsewhere")
    monkeypatch.setenv("CATALENS_CACHE", str(tmp_path / "elsewhere"))
    assert runs_exported(load_encoder(model))
    assert "text.bin" in hashed
    hashed.clear()
    assert runs_exported(load_encoder(model))
    assert hashed == []


def test_an_export_of_a_later_format_is_left_alone(model: str) -> None:
    folder = folder_of(model)
    manifest = store.Export(folder).manifest | {"format": "catalens-export-99"}
    body = json.dumps(manifest)
    line = json.dumps({"sha256": store.hashlib.sha256(body.encode()).hexdigest()})
    (folder / "manifest.json").write_text(f"{line}\n{body}\n")
    with pytest.raises(ExportError, match="format is catalens-export-99"):
        store.Export(folder)


def test_an_export_from_another_machine_is_not_trusted(
    model: str, said: Warnings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "here", lambda: {"openvino": "2020.1", "processor": "another"})
    assert not runs_exported(load_encoder(model))
    assert "was judged with another OpenVINO or processor" in said()[0]
    assert choose.runtime_of(model).startswith("torch (")


def test_a_compiled_graph_that_is_refused_is_compiled_anew(tmp_path: Path) -> None:
    encoder: Any = load_encoder(str(tiny_folder(tmp_path / "model")), runtime="torch")
    convert(encoder.graph_sources()["text"], tmp_path / "text.xml")
    (tmp_path / "text.blob").write_bytes(b"no compiled graph " * 1000)
    ids = np.array([[49406, 320, 49407]])
    found = OpenVinoGraph(tmp_path / "text.xml", "f32", tmp_path / "text.blob")(ids)
    np.testing.assert_allclose(found, encoder._graphs["text"](ids), atol=1e-5)


def test_a_death_while_exporting_leaves_nothing_that_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every flush in turn: what is found afterwards is a whole export or none, and the next run makes it."""
    name = str(tiny_folder(tmp_path / "model"))
    real, calls, deadly = store._flush, 0, 0

    class Death(BaseException):
        pass

    def flush(path: Path) -> None:
        nonlocal calls
        calls += 1
        if calls == deadly:
            raise Death
        real(path)

    monkeypatch.setattr(store, "_flush", flush)
    encoder = load_encoder(name, runtime="torch")
    for at in (1, 14):
        calls, deadly = 0, at
        try:
            export(encoder)
        except Death:
            found = load_encoder(name)
            assert_same_vectors(found, encoder)
        else:
            break
    export(encoder)
    assert runs_exported(load_encoder(name))
    assert not [path for path in store.exports_dir().iterdir() if path.is_dir() and path.name.startswith(".")]


def test_one_process_exports_at_a_time(model: str) -> None:
    encoder = load_encoder(model, runtime="torch")
    key = names.key_for(model)
    with store_lock(key), pytest.raises(ExportError, match="another process is exporting"):
        export(encoder)


def store_lock(key: str | None) -> Any:
    from filelock import FileLock

    return FileLock(store.exports_dir() / f".{key}.lock")


# --- a search without torch ---

SEARCH = """
import sys
from api.cli import main
try:
    main()
finally:
    heavy = {"torch", "torchvision", "timm", "open_clip", "transformers", "openvino_telemetry", "openvino.tools.ovc"}
    print(sorted(name for name in heavy if sys.modules.get(name)), file=sys.stderr)
"""


def searched(collection: Path, *arguments: str) -> tuple[str, str]:
    command = [sys.executable, "-c", SEARCH, "search", "--collection", str(collection), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


def index_of_three(tmp_path: Path, encoder: DualEncoder) -> Path:
    for colour in ("red", "green", "blue"):
        paint(tmp_path / "photos" / f"{colour}.png", colour)
    index_sources(tmp_path / "shop", [open_source(tmp_path / "photos")], encoder)
    return tmp_path / "shop"


@pytest.mark.parametrize("query", [["a", "red", "mug"], ["--image", "photos/red.png"]], ids=["words", "picture"])
def test_a_search_with_an_exported_model_imports_no_torch(model: str, tmp_path: Path, query: list[str]) -> None:
    collection = index_of_three(tmp_path, load_encoder(model, runtime="torch"))
    query = [str(tmp_path / word) if word.startswith("photos") else word for word in query]
    out, err = searched(collection, *query)
    assert len(out.splitlines()) == 3
    assert err.splitlines()[-1] == "[]"  # before it may stand that nothing fits: the weights are random
    torchs, err = searched(collection, "--runtime", "torch", *query)
    assert [line.split("\t")[2] for line in torchs.splitlines()] == [line.split("\t")[2] for line in out.splitlines()]
    assert "torch" in err  # so the list is not empty for want of looking


# --- the starter ---


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Exported]]:
    cache = tmp_path_factory.mktemp("starter")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CATALENS_CACHE", str(cache))
        yield cache, export(load_encoder("starter", runtime="torch"))


@pytest.mark.model
def test_the_starter_exported(starter: tuple[Path, Exported], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cache, done = starter
    monkeypatch.setenv("CATALENS_CACHE", str(cache))
    torchs, found = load_encoder("starter", runtime="torch"), load_encoder("starter")
    assert found.spec == torchs.spec
    assert_same_vectors(found, torchs)
    for tried in done.gates.values():
        *refused, used = tried.values()
        assert used.reaches(EXACT)
        assert not any(one.reaches(EXACT) for one in refused)
    collection = index_of_three(tmp_path, found)
    out, err = searched(collection, "red")
    assert out.splitlines()[0].split("\t")[2] == "red.png"
    assert err == "[]\n"


@pytest.mark.model
def test_the_unpacked_sentence_encoder_is_the_package_own(starter: tuple[Path, Exported]) -> None:
    from retrieval.encoders.towers.sentence import MultilingualSentenceEncoder

    _, done = starter
    packed, unpacked = MultilingualSentenceEncoder(), MultilingualSentenceEncoder(done.export.folder / "unpacked")
    texts = [*bank.awkward_texts(), "\ud800", "<unk> <s> </s>"]
    np.testing.assert_allclose(unpacked.features(texts), packed.features(texts), atol=1e-6)
    cut = packed._model._tokenizer.encode
    for text in bank.awkward_texts():
        assert unpacked._model.sp.encode(text) == cut(text), text


def test_nothing_is_reported_to_anybody() -> None:
    """OpenVINO's own telemetry calls home at import; here it is never imported, and no socket is opened."""
    program = (
        "import socket, sys\n"
        "def refuse(*_, **__): raise SystemExit('a socket was opened')\n"
        "socket.socket.connect = refuse; socket.getaddrinfo = refuse\n"
        "from retrieval.runtime.openvino_graph import machine, _openvino\n"
        "machine(); import openvino.tools.ovc\n"
        "print(sys.modules['openvino_telemetry'], openvino.tools.ovc.telemetry.__class__.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None openvino.tools.ovc.telemetry_stub"
