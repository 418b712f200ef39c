"""The command line of training: `catalens train`. Nothing heavy is imported with it."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import RuntimeOption

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

# What both have, each worded once.
DataArgument = Annotated[
    list[str], typer.Argument(metavar="DATA", help="What catalens eval reads; several are joined.")
]
SplitOption = Annotated[str, typer.Option(help="Split to train on; otherwise train where a set has several.")]
LanguageOption = Annotated[str, typer.Option(help="Languages of the captions where a set has several, such as en,zh.")]
ImagesOption = Annotated[Path | None, typer.Option(help="Where image paths start; otherwise beside each file.")]
ValidationOption = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE", min=0.01, max=0.9, help="Share of the pictures that chooses the epoch; otherwise 0.15."
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be trained on, and stop.")]


class Loss(StrEnum):
    """Names of what training minimises."""

    infonce = "infonce"
    sigmoid = "sigmoid"
    margin = "margin"


@app.callback()
def training() -> None:
    """Make search better on your own pictures and words."""


@app.command(short_help="Train projection heads on your pictures and texts, the towers frozen.")
def heads(
    data: DataArgument,
    base: Annotated[str, typer.Option(metavar="MODEL", help="Model to start from, or a folder of trained heads.")] = (
        "starter"
    ),
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for the heads; then a --model of index, eval, export."),
    ] = None,
    split: SplitOption = "",
    language: LanguageOption = "",
    images_dir: ImagesOption = None,
    loss: Annotated[
        Loss, typer.Option(help="InfoNCE, SigLIP's pairwise sigmoid, or VSE++'s margin with hardest negatives.")
    ] = Loss.infonce,
    adversarial: Annotated[
        float, typer.Option(metavar="WEIGHT", min=0, max=10, help="Weight of a modality discriminator's gradient.")
    ] = 0.0,
    epochs: Annotated[int | None, typer.Option(min=1, max=10_000, help="At most this many; otherwise 30.")] = None,
    batch: Annotated[int | None, typer.Option(min=2, help="Pictures a step; otherwise 1,024.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(min=1e-8, max=1, help="The highest, after warming up; otherwise 0.002.")
    ] = None,
    validation: ValidationOption = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed, data and runtime give the same heads.")] = 0,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where features are kept; otherwise in the user's cache folder.")
    ] = None,
    runtime: RuntimeOption = None,
    dry_run: DryRunOption = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Train projection heads on your pictures and texts, the towers frozen.

    The heads go on from the base's own and are kept only if they are better on the validation part. Features are kept,
    so that a second run trains at once.
    """
    from api.cli.training import heads
    from api.cli.training.data import DataChoice

    if out is None and not dry_run:
        raise typer.BadParameter("say where the heads go: --out DIR", param_hint="--out")
    asked = {"loss": loss.value, "adversarial": adversarial, "seed": seed}
    given = {"epochs": epochs, "batch": batch, "learning_rate": learning_rate}
    asked |= {name: value for name, value in given.items() if value is not None}
    languages = [one.strip() for one in language.split(",") if one.strip()]
    chosen = DataChoice(data, split, languages, images_dir)
    heads.train(chosen, base, out, asked, validation, cache, runtime=runtime, dry_run=dry_run, as_json=json)


class Kind(StrEnum):
    """Names of kinds of rerankers."""

    cross_attention = "cross_attention"
    maxsim = "maxsim"
    concat_mlp = "concat_mlp"
    gating = "gating"
    bilinear = "bilinear"
    weighted_sum = "weighted_sum"


@app.command(short_help="Train a reranker on your pictures and texts, the encoder frozen.")
def reranker(
    data: DataArgument,
    base: Annotated[str, typer.Option(metavar="ENCODER", help="Encoder whose results are reranked.")] = "starter",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for the reranker.")] = None,
    kind: Annotated[Kind, typer.Option(help="How text and photo are brought together.")] = Kind.cross_attention,
    split: SplitOption = "",
    language: LanguageOption = "",
    images_dir: ImagesOption = None,
    contrast_epochs: Annotated[
        int | None,
        typer.Option(min=0, max=10_000, help="Of the first phase, all pairs of a batch; at most, otherwise 12."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=0, max=10_000, help="Of the second, hard negatives; at most, otherwise 1.")
    ] = None,
    batch: Annotated[int | None, typer.Option(min=2, help="Texts a step of the second; otherwise 64.")] = None,
    views: Annotated[
        int | None, typer.Option(min=0, max=8, help="Mirrored and cropped views of each picture; otherwise 0.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(min=1e-8, max=1, help="Of the second, the highest; otherwise 0.0005.")
    ] = None,
    validation: ValidationOption = None,
    depth: Annotated[
        int | None, typer.Option(min=2, max=1000, help="Candidates that are reranked on validation; otherwise 20.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed, data and runtime give the same reranker.")] = 0,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where tokens are kept; otherwise in the user's cache folder.")
    ] = None,
    runtime: RuntimeOption = None,
    dry_run: DryRunOption = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Train a reranker on your pictures and texts, the encoder frozen.

    It learns to tell the right candidates of the first stage from the wrong ones, and how much its opinion counts is
    chosen on the validation part: nothing, if it does not help. Tokens are kept, so that a second run trains at once.
    """
    from api.cli.training import reranker
    from api.cli.training.data import DataChoice

    if out is None and not dry_run:
        raise typer.BadParameter("say where the reranker goes: --out DIR", param_hint="--out")
    asked: dict[str, object] = {"kind": kind.value, "seed": seed}
    given = {"epochs": epochs, "batch": batch, "learning_rate": learning_rate, "depth": depth}
    given |= {"contrast_epochs": contrast_epochs, "views": views}
    asked |= {name: value for name, value in given.items() if value is not None}
    languages = [one.strip() for one in language.split(",") if one.strip()]
    chosen = DataChoice(data, split, languages, images_dir)
    reranker.train(chosen, base, out, asked, validation, cache, runtime=runtime, dry_run=dry_run, as_json=json)


def register(main: typer.Typer) -> None:
    """Add `train` to the program."""
    main.add_typer(app, name="train")
