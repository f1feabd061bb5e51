"""The commands `eri import …`: other people's data, brought into the pipeline's form."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.options import Json
from pipeline.imports.features.command import features_command
from pipeline.paths import PARAMS

if TYPE_CHECKING:
    from pipeline.imports.checks import Scale

app = typer.Typer(
    help="Bring in a data set's labels, or features that others computed; media are never touched.",
    no_args_is_help=True,
)
app.command("features")(features_command)

Root = Annotated[Path, typer.Argument(help="The folder of the data set.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what is found; write nothing.")]
Probe = Annotated[
    bool, typer.Option(help="Read every media file; the index does so again, and caches nothing.")
]
ParamsFile = Annotated[Path, typer.Option("--params", help="The parameters to point at it.")]


@app.command("hume")
def hume_command(
    root: Root,
    dry_run: DryRun = False,
    probe: Probe = True,
    params_file: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """Import Hume-Reaction as ABAW5 has it: data_info.csv, train/mp4, train/wav, ...

    Example: eri import hume /data/hume_reaction --dry-run
    """
    from pipeline.imports.command import finish_import
    from pipeline.imports.hume import read_hume
    from pipeline.params import load_params

    params = load_params(params_file, check_heads=False)
    finish_import(
        partial(read_hume, root),
        "hume",
        params,
        params_file,
        dry_run=dry_run,
        probe=probe,
        as_json=as_json,
    )


@app.command("muse")
def muse_command(
    root: Root,
    dry_run: DryRun = False,
    probe: Probe = True,
    params_file: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """Import Hume-Reaction as MuSe 2022 has it: c2_muse_reaction/labels.csv, partition.csv, feats.

    Every feature set there becomes an encoder: feats/faus is `muse_faus`.

    Example: eri import muse /data/muse2022 --dry-run
    """
    from pipeline.imports.command import finish_import
    from pipeline.imports.muse import read_muse
    from pipeline.params import load_params

    params = load_params(params_file, check_heads=False)
    finish_import(
        partial(read_muse, root),
        "muse",
        params,
        params_file,
        dry_run=dry_run,
        probe=probe,
        as_json=as_json,
    )


@app.command("table")
def table_command(
    labels: Annotated[Path, typer.Argument(help="CSV in any usual form, or Parquet.")],
    media: Annotated[
        Path | None, typer.Option(help="The folder of the media; default that of the table.")
    ] = None,
    id_column: Annotated[str | None, typer.Option("--id", help="The column with ids.")] = None,
    path_column: Annotated[
        str | None, typer.Option("--path", help="The column with paths, relative to --media.")
    ] = None,
    split_column: Annotated[
        str | None, typer.Option("--split", help="The column with train, val or test.")
    ] = None,
    person_column: Annotated[
        str | None, typer.Option("--person", help="The column with the person.")
    ] = None,
    targets: Annotated[
        str | None, typer.Option(help="The columns with targets, joined by commas.")
    ] = None,
    rescale: Annotated[
        str | None,
        typer.Option(
            help="Rescale targets to [0, 1] from the ends of their scale, such as 1,100; or from "
            "the range of each one's own labels: seen."
        ),
    ] = None,
    by_person: Annotated[
        str | None,
        typer.Option(
            "--split-by-person",
            help="Draw splits by person, with the seed of params.yaml: shares of Train,Val,Test.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the import; default the table's file name.")
    ] = None,
    dry_run: DryRun = False,
    probe: Probe = True,
    params_file: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """Import any table of labels. Columns that are not named are guessed, and the guess is shown.

    Example: eri import table ratings.csv --media videos/ --targets joy,awe --rescale 1,100

    Example: eri import table ratings.csv --media videos/ --split-by-person 0.7,0.15,0.15 --dry-run
    """
    if split_column is not None and by_person is not None:
        raise typer.BadParameter("give --split or --split-by-person, not both")
    from pipeline.imports.command import finish_import
    from pipeline.imports.features.importing import check_spelling
    from pipeline.imports.table import Columns, PersonSplit, read_any_table
    from pipeline.params import load_params

    if name is not None:
        check_spelling(name)
    scale = _scale(rescale)
    shares = None if by_person is None else _numbers(by_person, 3, "--split-by-person")
    params = load_params(params_file, check_heads=False)
    columns = Columns(
        id_column,
        path_column,
        split_column,
        person_column,
        () if targets is None else tuple(each.strip() for each in targets.split(",")),
    )
    draw = None if shares is None else PersonSplit((shares[0], shares[1], shares[2]), params.seed)
    finish_import(
        lambda findings: read_any_table(labels, media, columns, findings, draw),
        labels.stem if name is None else name,
        params,
        params_file,
        dry_run=dry_run,
        probe=probe,
        as_json=as_json,
        scale=scale,
    )


def _scale(text: str | None) -> "Scale | None":
    if text is None or text == "seen":
        return "seen" if text else None
    low, high = _numbers(text, 2, "--rescale")
    if low >= high:
        raise typer.BadParameter(f"--rescale {text}: expected the lower end first")
    return low, high


def _numbers(text: str, count: int, option: str) -> list[float]:
    try:
        numbers = [float(each) for each in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise typer.BadParameter(f"{option} {text}: expected {count} numbers joined by commas")
    return numbers
