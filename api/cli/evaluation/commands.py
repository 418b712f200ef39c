"""What `catalens eval` and `catalens doctor` do and print."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.table import Table
from rich.text import Text

from api.cli.evaluation.floor import Floor
from api.cli.formats import one_line
from api.cli.output import err, out, print_json
from retrieval.errors import EvaluationError, QueryError
from retrieval.evaluation.measures import parse

if TYPE_CHECKING:
    from retrieval.catalogue.queries import Modality
    from retrieval.evaluation.doctor import IndexHealth
    from retrieval.evaluation.evaluation import Evaluation
    from retrieval.evaluation.types import EvaluationSet


@dataclass(frozen=True)
class SetChoice:
    """A data set as it was asked for on the command line. queries: title, attributes or the path of a CSV."""

    name: str
    split: str = ""
    language: str = ""
    images_dir: Path | None = None
    queries: str = "title"
    allow_missing: bool = False

    def open(self) -> "EvaluationSet":
        """Read the set; a built-in one is fetched first, which stderr says."""
        from indexer.evaluation_sets import open_evaluation_set
        from retrieval.settings import cache_dir

        queries: Literal["title", "attributes"] | Path
        queries = (
            "title" if self.queries == "title" else "attributes" if self.queries == "attributes" else Path(self.queries)
        )
        return open_evaluation_set(
            self.name,
            cache_dir=cache_dir(),
            on_message=partial(err.print, markup=False, soft_wrap=True),
            split=self.split,
            language=self.language,
            images_dir=self.images_dir,
            allow_missing=self.allow_missing,
            queries=queries,
        )


@dataclass(frozen=True)
class RerankChoice:
    """Judge a reranker beside the model. name: of the reranker, or None for the one that belongs to the model."""

    name: str | None = None


def list_sets(*, as_json: bool) -> None:
    """Print the built-in data sets."""
    from retrieval.evaluation.datasets.builtin import BUILTIN

    if as_json:
        print_json({"datasets": [{"name": name, "about": about} for name, about in BUILTIN.items()]})
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("data set", no_wrap=True)
    table.add_column("what it is")
    for name, about in BUILTIN.items():
        table.add_row(name, about)
    out.print(table)


def run(
    chosen: SetChoice,
    model: str | None,
    collection: Path | None,
    by: str | None,
    k: str,
    folder: Path | None,
    fail_under: Sequence[str],
    rerank: RerankChoice | None = None,
    *,
    runtime: str | None = None,
    as_json: bool,
) -> None:
    """Evaluate, print, write; then hold the figures against the floors, which are those of the first stage."""
    from api.cli.evaluation.files import write_folder
    from retrieval.evaluation.summary import to_json

    floors = [Floor.parse(written) for written in fail_under]
    measures = list(dict.fromkeys([*_measures(k), *(floor.measure for floor in floors)]))
    _check_asked(collection, by, rerank)
    dataset = chosen.open()
    for floor in floors:
        floor.direction_among([task.direction for task in dataset.tasks])  # a mistake shows before hours of encoding
    if rerank:
        evaluation = _reranked(dataset, model or "starter", rerank.name, measures, runtime)
    elif collection is None:
        evaluation = _evaluated(dataset, model or "starter", measures, runtime)
    else:
        compared: Modality = "text" if by == "text" else "image"
        evaluation = _through_collection(dataset, collection, model, compared, measures, runtime)
    if folder is not None:
        write_folder(folder, evaluation)
    if as_json:
        print_json(to_json(evaluation))
    else:
        _show(evaluation)
    if folder is not None:
        err.print(f"Written to {folder}: look at report.html", markup=False, soft_wrap=True)
    if missed := [said for floor in floors if (said := floor.missed(evaluation))]:
        raise EvaluationError("; ".join(missed), hint="the figures above are complete; --fail-under made this an error")


def _check_asked(collection: Path | None, by: str | None, rerank: RerankChoice | None) -> None:
    """Raises QueryError for options that do not go together."""
    if by is not None and by not in ("image", "text"):
        raise QueryError(f"--by is '{by}'", hint="use --by image or --by text")
    if by is not None and collection is None:
        raise QueryError("--by says how a collection is searched", hint="name it with --collection, or leave out --by")
    if rerank and collection is not None:
        raise QueryError(
            "--rerank judges a model's exact search, --collection the search of a collection",
            hint="leave one of the two out",
        )


def _show(evaluation: "Evaluation") -> None:
    from api.cli.evaluation.reranking import reranking_lines
    from api.cli.evaluation.tables import figures_table, slice_tables

    images, texts = len(evaluation.dataset.images), len(evaluation.dataset.texts)
    out.print(Text(one_line(f"{evaluation.dataset.name}: {images:,} images, {texts:,} texts")), soft_wrap=True)
    out.print(Text(one_line(f"{evaluation.model}, {evaluation.search} search")), soft_wrap=True)
    for note in evaluation.dataset.notes:
        out.print(Text(one_line(f"note: {note}")), style="dim", soft_wrap=True)
    out.print()
    for table in (figures_table(evaluation), *slice_tables(evaluation)):
        out.print(table)
        out.print()
    if evaluation.reranking:
        for line in reranking_lines(evaluation.reranking):
            out.print(line, soft_wrap=not isinstance(line, Table))


def rehearse_models(names: Sequence[str], chosen: SetChoice, *, runtime: str | None = None, as_json: bool) -> None:
    """Measure each model in a process of its own and print them side by side."""
    from api.cli.evaluation.tables import RehearsedModel, models_table
    from retrieval import encoders
    from retrieval.evaluation.rehearsal import Rehearsal, pareto, rehearse

    dataset = chosen.open()  # fetched once and checked before the first model is loaded
    rows: list[Rehearsal] = []
    for number, name in enumerate(names, start=1):
        err.print(f"Trying {name} ({number} of {len(names)})", markup=False, soft_wrap=True)
        rows += rehearse([name], chosen.open, load=partial(encoders.load_encoder, runtime=runtime))
    best = pareto(rows)
    if as_json:
        unmeasured = {"images_per_second": None, "query_ms": None, "memory_mib": None}
        models = [
            {**asdict(row), **(unmeasured if row.error else {}), "pareto": good}
            for row, good in zip(rows, best, strict=True)
        ]
        print_json({"dataset": dataset.name, "models": models})
    else:
        measured = [
            RehearsedModel(
                row.model,
                row.figures,
                row.images_per_second,
                row.query_ms,
                row.memory_mib,
                pareto=good,
                runtime=row.runtime,
            )
            for row, good in zip(rows, best, strict=True)
            if not row.error
        ]
        images, texts = len(dataset.images), len(dataset.texts)
        out.print(Text(one_line(f"{dataset.name}: {images:,} images, {texts:,} texts")), soft_wrap=True)
        if measured:
            out.print(models_table(measured))
            out.print("* no other model is as good in every column and better in one", style="dim")
        for row in rows:
            if row.error:
                out.print(Text(one_line(f"{row.model} could not be tried: {row.error}")), soft_wrap=True)
    if all(row.error for row in rows):
        raise EvaluationError("none of the models could be tried", hint="see which are here: catalens models")


def doctor(collection: Path, *, as_json: bool) -> bool:
    """Examine a collection's indexes; True if an index file is broken."""
    from indexer.compaction import DELTA_SHARE, MIN_DELTA
    from retrieval.collection import Collection
    from retrieval.evaluation.doctor import examine

    with Collection.open(collection) as opened:
        found = examine(opened, due=lambda rows, changed: changed > max(MIN_DELTA, DELTA_SHARE * rows))
    broken = any(health.broken for health in found)
    if as_json:
        indexes = {health.modality: health.to_json() for health in found}
        print_json({"collection": str(collection), "broken": broken, "index": indexes})
        return broken
    out.print(_doctor_table(found))
    advice = [f"{health.modality} index: {said}" for health in found for said in health.advice]
    for said in advice or ["nothing to change"]:
        out.print(Text(said), soft_wrap=True)
    return broken


def _measures(k: str) -> list[str]:
    """The default measures with these cutoffs. Raises QueryError for what are no numbers."""
    written = [one.strip() for one in k.split(",")]
    if not all(one.isdecimal() for one in written):
        raise QueryError(f"--k {k} is no list of numbers", hint="write it so: --k 1,5,10")
    successes = sorted((parse(f"success@{one}") for one in written), key=lambda measure: measure.cutoff or 0)
    deepest = successes[-1].cutoff
    return [
        *(one.name for one in successes),
        *(f"{name}@{deepest}" for name in ("recall", "mrr", "ndcg")),
        "median_rank",
    ]


def _evaluated(dataset: "EvaluationSet", model: str, measures: Sequence[str], runtime: str | None) -> "Evaluation":
    from api.cli.evaluation.progress import show_evaluation
    from retrieval.encoders import load_encoder
    from retrieval.evaluation.evaluate import evaluate

    with show_evaluation(err) as on_progress:
        return evaluate(dataset, load_encoder(model, runtime=runtime), measures=measures, on_progress=on_progress)


def _reranked(
    dataset: "EvaluationSet", model: str, reranker: str | None, measures: Sequence[str], runtime: str | None
) -> "Evaluation":
    from api.cli.evaluation.progress import show_evaluation
    from retrieval import rerankers
    from retrieval.encoders import load_encoder
    from retrieval.evaluation.reranking import evaluate_with_reranking, token_encoder
    from retrieval.evaluation.trained_on import pictures_trained_on

    encoder = load_encoder(model, runtime=runtime)
    token_encoder(encoder)  # refuses one without tokens before it asks for a reranker that could not be
    name = reranker or rerankers.default_reranker(encoder.spec.fingerprint)
    if name is None:
        raise EvaluationError(
            f"no reranker belongs to the model '{encoder.spec.name}'",
            hint=f"name one with --reranker DIR; catalens train reranker DATA --base {encoder.spec.name} --out DIR "
            "makes it",
        )
    loaded = rerankers.load_reranker(name, runtime=runtime)
    seen = pictures_trained_on(encoder, loaded.spec)
    with show_evaluation(err) as on_progress:
        return evaluate_with_reranking(dataset, encoder, loaded, measures=measures, seen=seen, on_progress=on_progress)


def _through_collection(
    dataset: "EvaluationSet",
    folder: Path,
    model: str | None,
    by: "Modality",
    measures: Sequence[str],
    runtime: str | None,
) -> "Evaluation":
    from api.cli.evaluation.progress import show_evaluation
    from retrieval.collection import Collection
    from retrieval.encoders import load_encoder
    from retrieval.evaluation.through_search import evaluate_through_search

    with Collection.open(folder) as collection, show_evaluation(err) as on_progress:
        encoder = load_encoder(model or collection.encoder.name, runtime=runtime)
        return evaluate_through_search(dataset, collection, encoder, by=by, measures=measures, on_progress=on_progress)


def _doctor_table(found: "Sequence[IndexHealth]") -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("index", "kind", "rows", "newer", "deleted"):
        table.add_column(heading, justify="left" if heading in ("index", "kind") else "right", no_wrap=True)
    table.add_column("recall@10: text queries", justify="right")
    table.add_column("image queries", justify="right")
    for health in found:
        recalls = [
            f"{one.recall:.3f} ({one.queries:,})" if (one := health.recall.get(asked)) else "–"
            for asked in ("text", "image")
        ]
        numbers = (health.rows, health.newer_rows, health.deleted_rows)
        table.add_row(health.modality, health.kind, *(f"{number:,}" for number in numbers), *recalls)
    return table
