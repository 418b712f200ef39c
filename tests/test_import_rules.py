"""The house rules on imports: layers, no circles, one owner for each engine, nothing heavy before it is needed."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    path.relative_to(ROOT) for package in ("retrieval", "indexer", "api") for path in (ROOT / package).rglob("*.py")
)
KNOWN = frozenset(MODULES)

FORBIDDEN = {
    "retrieval": {"indexer", "api", "fastapi", "typer"},
    "indexer": {"api", "fastapi", "typer"},
    "api": set(),
}
"""What a layer never imports, by its top-level name."""

OWNERS = {
    "faiss": "retrieval/index/faiss_index.py",
    "open_clip": "retrieval/encoders/openclip.py",
    "openvino": "retrieval/runtime/openvino_graph.py",
    "matplotlib": "retrieval/training/curve.py",
    "nncf": "retrieval/runtime/openvino_graph.py",
    "yaml": "retrieval/rules/document.py",
    "onnxruntime": None,
    "sqlalchemy.create_engine": "retrieval/catalogue/engine.py",
    "sqlalchemy.engine_from_config": "retrieval/catalogue/engine.py",
}
"""The one module that may use it; None: nobody yet."""

SETTINGS = "retrieval/settings.py"
PRINTS = {"print"}
EXITS = {"sys.exit", "os._exit", "exit", "quit", "SystemExit"}
ENVIRONMENT = {"os.environ", "os.environb", "os.getenv", "os.putenv"}

HEAVY = {"torch", "torchvision", "timm", "open_clip", "faiss", "openvino", "onnxruntime", "matplotlib"}
"""Nothing of these is needed to print a help text or to name a wrong option."""


def violations(path: PurePosixPath, source: str) -> list[str]:
    """Every rule that a module breaks, as `line: complaint`. `path` is relative to the root."""
    tree = ast.parse(source)
    found = set()
    for line, name in _names(tree):
        top = name.partition(".")[0]
        if top in FORBIDDEN[path.parts[0]]:
            found.add((line, f"{path.parts[0]} must not import {top}"))
        for owned, owner in OWNERS.items():
            if (name == owned or name.startswith(f"{owned}.")) and str(path) != owner:
                found.add((line, f"only {owner or 'a module that does not exist yet'} may use {owned}"))
        if name in PRINTS:
            found.add((line, "library code does not print"))
        if name in EXITS and path.parts[0] != "api":
            found.add((line, "library code does not exit"))
        if name in ENVIRONMENT and str(path) != SETTINGS:
            found.add((line, f"only {SETTINGS} reads the environment"))
    return [f"{line}: {complaint}" for line, complaint in sorted(found)]


def _names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of all that a module imports or reads, with `import … as` names resolved.

    A local name that shadows an imported or built-in one is taken for it; nobody should do that anyway.
    """
    full_name: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                full_name[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            for alias in node.names:
                full_name[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield node.lineno, f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            head, dot, rest = ast.unparse(node).partition(".")
            yield node.lineno, full_name.get(head, head) + dot + rest
        if (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).endswith(("import_module", "__import__"))
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield node.lineno, str(node.args[0].value)


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_module_keeps_the_rules(path: Path) -> None:
    assert violations(PurePosixPath(path), (ROOT / path).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("retrieval/x.py", "import indexer.pipeline", "retrieval must not import indexer"),
        ("retrieval/x.py", "from api import cli", "retrieval must not import api"),
        ("retrieval/x.py", "def f():\n    from fastapi import FastAPI", "retrieval must not import fastapi"),
        ("retrieval/x.py", "import typer as t", "retrieval must not import typer"),
        (
            "retrieval/x/y.py",
            "import importlib\nimportlib.import_module('indexer')",
            "must not import indexer",
        ),
        ("retrieval/x/y.py", "__import__('api.cli')", "retrieval must not import api"),
        ("indexer/x.py", "from api.cli import main", "indexer must not import api"),
        ("indexer/x.py", "import fastapi", "indexer must not import fastapi"),
        ("indexer/x.py", "if True:\n    import typer", "indexer must not import typer"),
        ("retrieval/index/exact.py", "import faiss", "only retrieval/index/faiss_index.py may use faiss"),
        ("api/x.py", "from faiss.contrib import inspect_tools", "may use faiss"),
        (
            "retrieval/encoders/starter.py",
            "import open_clip",
            "only retrieval/encoders/openclip.py may use open_clip",
        ),
        ("retrieval/encoders/openclip.py", "import openvino as ov", "may use openvino"),
        ("retrieval/encoders/openclip.py", "from onnxruntime import InferenceSession", "may use onnxruntime"),
        (
            "indexer/x.py",
            "from sqlalchemy import create_engine",
            "only retrieval/catalogue/engine.py may use",
        ),
        (
            "retrieval/x.py",
            "import sqlalchemy as sa\nsa.create_engine('sqlite://')",
            "may use sqlalchemy.create_engine",
        ),
        (
            "retrieval/x.py",
            "from sqlalchemy import engine_from_config as e",
            "may use sqlalchemy.engine_from_config",
        ),
        ("retrieval/x.py", "print('hello')", "library code does not print"),
        ("api/x.py", "show = print", "library code does not print"),
        ("indexer/x.py", "import sys\nsys.exit(1)", "library code does not exit"),
        ("indexer/x.py", "from sys import exit as leave\nleave(1)", "library code does not exit"),
        ("retrieval/x.py", "raise SystemExit", "library code does not exit"),
        (
            "retrieval/x.py",
            "import os\nos.environ['HOME']",
            "only retrieval/settings.py reads the environment",
        ),
        ("indexer/x.py", "from os import environ", "only retrieval/settings.py reads the environment"),
        ("api/x.py", "import os\nos.getenv('HOME')", "only retrieval/settings.py reads the environment"),
    ],
)
def test_a_planted_violation_is_found(path: str, source: str, complaint: str) -> None:
    found = violations(PurePosixPath(path), source)
    assert any(complaint in line for line in found), found


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("retrieval/index/faiss_index.py", "import faiss\nfaiss.omp_set_num_threads(1)"),
        ("retrieval/encoders/openclip.py", "def load():\n    import open_clip"),
        ("retrieval/catalogue/engine.py", "from sqlalchemy import create_engine\ncreate_engine('sqlite://')"),
        ("retrieval/settings.py", "import os\nos.environ.get('CATALENS_HOME')"),
        ("indexer/x.py", "from retrieval.records import Hit\nfrom sqlalchemy import select"),
        ("api/x.py", "import sys, typer, fastapi\nimport indexer.sources, retrieval.search\nsys.exit(3)"),
        ("retrieval/x.py", "from . import apiary\nimport apiary, typer_like\nprinter = fingerprint = 1"),
        ("retrieval/x.py", "console.print('through rich')"),
    ],
)
def test_what_the_rules_allow_passes(path: str, source: str) -> None:
    assert violations(PurePosixPath(path), source) == []


def imported(path: Path) -> set[Path]:
    """The project's own modules that a module imports anywhere, also for type checkers alone."""
    found = set()
    for _, name in _names(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        parts = name.split(".")
        places = (Path(*parts[:depth]) for depth in range(len(parts), 0, -1))  # the module, else that of a name in it
        files = (file for place in places for file in (place.with_suffix(".py"), place / "__init__.py"))
        found.add(next((file for file in files if file in KNOWN), path))
    return found - {path}


def test_no_module_imports_another_in_a_circle() -> None:
    """What a package's `__init__` names of it is not counted: each import below it runs that file too."""
    imports = {path: imported(path) for path in MODULES}
    TopologicalSorter(imports).prepare()  # raises CycleError, with the circle
    thumbnails, files = Path("api/http/thumbnails.py"), Path("api/http/photo_files.py")
    assert files in imports[thumbnails]
    with pytest.raises(CycleError):
        TopologicalSorter({**imports, files: {thumbnails}}).prepare()


def test_the_command_line_loads_nothing_heavy() -> None:
    """For real: what Python has in memory once `catalens --help` can be answered."""
    program = "import sys, api.cli; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert HEAVY.intersection(done.stdout.split()) == set()
