"""The commands `eri import …`: other people's data, brought into the pipeline's form."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipeline.terminal import Json, names_of, say

if TYPE_CHECKING:
    from pipeline.imports.clips import Scale

app = typer.Typer(
    help="Bring in labels, features or transcripts. Media are neither copied nor changed.",
    no_args_is_help=True,
)

Text = str | None
Root = Annotated[Path, typer.Argument(help="The data set's folder, or clone.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what is found; write nothing.")]
Probe = Annotated[
    bool, typer.Option(help="Open every media file now and warn of odd ones; `dvc repro` does too.")
]
_BY_PERSON = typer.Option(
    "--split-by-person",
    help="Draw splits by person: the shares of Train,Val,Test, such as 0.6,0.2,0.2.",
)


@app.command("hume", short_help="Import Hume-Reaction as ABAW5 distributed it.")
@app.command("muse", short_help="Import Hume-Reaction as MuSe 2022 distributed it.")
def hume_command(
    context: typer.Context,
    root: Root,
    dry_run: DryRun = False,
    probe: Probe = True,
    as_json: Json = False,
) -> None:
    """Import Hume-Reaction as ABAW5 distributed it (hume), or MuSe 2022 (muse).

    Of muse each set of features is imported too: feats/faus becomes `muse_faus`.

    Example: eri import hume /data/hume_reaction --dry-run

    Example: eri import muse /data/muse2022 --dry-run
    """
    from pipeline.imports.importing import add_labels
    from pipeline.imports.layouts import read_hume, read_muse

    name = str(context.info_name)
    read = partial(read_muse if name == "muse" else read_hume, root)
    _import(name, partial(add_labels, read, probe=probe), dry_run, as_json)


@app.command("cremad")
def cremad_command(
    root: Root,
    ratings: Annotated[
        Literal["voice", "face", "both"],
        typer.Option(help="Ratings of the voice, the face, or both; clips are of the same kind."),
    ] = "both",
    by_person: Annotated[str, _BY_PERSON] = "0.6,0.2,0.2",
    dry_run: DryRun = False,
    probe: Probe = True,
    as_json: Json = False,
) -> None:
    """Import CREMA-D, open data with rated intensities.

    Clips that are not downloaded yet are left out, and named with the command that fetches them.

    Example: eri import cremad ../CREMA-D --ratings voice
    """
    from pipeline.imports.importing import add_labels
    from pipeline.imports.layouts import read_cremad

    shares, read = _numbers(by_person, 3, "--split-by-person"), partial(read_cremad, root, ratings)
    add = partial(add_labels, read, shares=shares, probe=probe)
    _import(f"cremad_{ratings}", add, dry_run, as_json)


@app.command("table")
def table_command(
    labels: Annotated[Path, typer.Argument(help="The table, a row per clip: CSV or Parquet.")],
    media: Annotated[
        Path | None, typer.Option(help="Folder of the media; default: the table's own.")
    ] = None,
    id_column: Annotated[Text, typer.Option("--id", help="Column with clip ids.")] = None,
    path_column: Annotated[Text, typer.Option("--path", help="Column with files.")] = None,
    split_column: Annotated[Text, typer.Option("--split", help="Column of splits.")] = None,
    person_column: Annotated[Text, typer.Option("--person", help="Column of people.")] = None,
    targets: Annotated[Text, typer.Option(help="Columns, joined by commas.")] = None,
    rescale: Annotated[
        Text,
        typer.Option(help="Ends of the targets' scale, such as 1,100; seen: those of its labels."),
    ] = None,
    by_person: Annotated[Text, _BY_PERSON] = None,
    dry_run: DryRun = False,
    probe: Probe = True,
    as_json: Json = False,
) -> None:
    """Import any table of labels.

    Columns that are not named are guessed, and the guess is shown.

    Example: eri import table ratings.csv --media videos/ --targets joy,awe --rescale 1,100

    Example: eri import table ratings.csv --media videos/ --split-by-person 0.7,0.15,0.15 --dry-run
    """
    if split_column is not None and by_person is not None:
        raise typer.BadParameter("give --split or --split-by-person, not both")
    from pipeline.imports.importing import add_labels
    from pipeline.imports.layouts import read_table

    shares = None if by_person is None else _numbers(by_person, 3, "--split-by-person")
    scale: Scale | None = "seen" if rescale == "seen" else None
    if rescale is not None and scale is None:
        low, high = _numbers(rescale, 2, "--rescale")
        if low >= high:
            raise typer.BadParameter(f"--rescale {rescale}: expected the lower end first")
        scale = low, high
    given = {"id": id_column, "path": path_column, "split": split_column, "person": person_column}
    read = partial(read_table, labels, media, given, names_of(targets) or [])
    name = re.sub(r"[^A-Za-z0-9-]+", "_", labels.stem).strip("_-") or "table"
    add = partial(add_labels, read, scale=scale, shares=shares, probe=probe)
    _import(name, add, dry_run, as_json)


@app.command("features")
def features_command(
    files: Annotated[
        list[Path],
        typer.Argument(help="CSV, Parquet, npy or npz files; folders of <id>.csv; stores."),
    ],
    name: Annotated[str, typer.Option(help="Their name in params.yaml.")],
    ids: Annotated[
        Path | None, typer.Option(help="The ids of an array's rows: lines of text, or CSV.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Import features that others computed: they become a feature store, named in params.yaml.

    Ids are matched to those of the label table, whatever their brackets, case, zeros and endings.

    Example: eri import features feats/fau --name fau --dry-run

    Example: eri import features vectors.npy --ids ids.txt --name clap
    """
    from pipeline.imports.importing import add_features

    _import(name, partial(add_features, files, ids), dry_run, as_json)


@app.command("transcripts")
def transcripts_command(
    file: Annotated[
        Path, typer.Argument(help="CSV or Parquet; SRT, VTT or TXT of a clip; a folder of those.")
    ],
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Import what is said in the clips, for encoders of text in place of what a recogniser hears.

    A table has a column of ids and one called text, and may have start, end and language.

    Example: eri import transcripts subtitles/ --dry-run
    """
    from pipeline.imports.transcripts import add_transcripts

    _import("transcripts", partial(add_transcripts, file), dry_run, as_json)


def _import(name: str, add: Callable[..., None], dry_run: bool, as_json: bool) -> None:
    """Import what `add` reads, and show what was found; status 1 where there is an error."""
    from pipeline.imports.importing import import_data

    summary, findings = import_data(name, add, dry_run=dry_run)
    lines = []
    if "n_clips" in summary:
        splits = ", ".join(f"{split} {n}" for split, n in summary["n_clips_of_split"].items())
        lines.append(f"{summary['n_clips']} clips: {splits}; media in {summary['media']}")
        lines.append(f"{len(summary['targets'])} targets: {', '.join(summary['targets'])}")
    if "n_clips_with_words" in summary:
        lines.append(f"{summary['n_rows']} rows, {summary['n_clips_with_words']} clips with words")
    for each, found in summary["features"].items():
        sizes = "{n_clips} clips in {n_files} files, {n_rows} rows of {dimension} features"
        lines.append(f"{each}: {sizes.format(**found)}; {found.get('taken_as', '')}")
    verdict = "nothing is written: " + ("a dry run" if dry_run else "all of it was imported before")
    if findings.have_errors:
        verdict = "nothing is written: mend the errors first"
    elif summary["written"]:
        verdict = f"written: {', '.join(summary['written'])}\nnow run `dvc repro`"
    lines += [*map(str, findings.all), verdict]
    say(as_json, summary | {"findings": findings.content()}, lines)
    if findings.have_errors:
        raise typer.Exit(1)


def _numbers(text: str, count: int, option: str) -> list[float]:
    try:
        numbers = [float(each) for each in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise typer.BadParameter(f"{option} {text}: expected {count} numbers joined by commas")
    return numbers
