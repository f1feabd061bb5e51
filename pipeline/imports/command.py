"""The commands `eri import …`: other people's data, brought into the pipeline's form."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.options import Json, ParamsFile, names_of
from pipeline.paths import IMPORTS, PARAMS

if TYPE_CHECKING:
    from pipeline.imports.checks import Scale
    from pipeline.imports.collection import Collection
    from pipeline.imports.features import Features
    from pipeline.imports.findings import Findings
    from pipeline.params import Params

app = typer.Typer(
    help="Bring in a data set's labels, or features that others computed; media are never touched.",
    no_args_is_help=True,
)

Root = Annotated[Path, typer.Argument(help="The folder of the data set.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what is found; write nothing.")]
Probe = Annotated[
    bool, typer.Option(help="Read every media file; the index does so again, and caches nothing.")
]


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
    from pipeline.imports.hume import read_hume

    _import_labels(
        lambda _, found: read_hume(root, found), "hume", params_file, dry_run, probe, as_json
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

    Every feature set there is imported too: feats/faus becomes `muse_faus`.

    Example: eri import muse /data/muse2022 --dry-run
    """
    from pipeline.imports.hume import read_muse

    _import_labels(
        lambda _, found: read_muse(root, found), "muse", params_file, dry_run, probe, as_json
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
    from pipeline.imports.columns import LabelColumns
    from pipeline.imports.store import check_spelling
    from pipeline.imports.table import read_any_table

    if name is not None:
        check_spelling(name)
    names = tuple(names_of(targets) or ())
    columns = LabelColumns(id_column, path_column, split_column, person_column, names)
    shares = None if by_person is None else _numbers(by_person, 3, "--split-by-person")
    scale: Scale | None = "seen" if rescale == "seen" else None
    if rescale is not None and scale is None:
        low, high = _numbers(rescale, 2, "--rescale")
        if low >= high:
            raise typer.BadParameter(f"--rescale {rescale}: expected the lower end first")
        scale = low, high

    def read(params: "Params", findings: "Findings") -> "Collection":
        return read_any_table(labels, media, columns, findings, shares, params.seed)

    name = labels.stem if name is None else name
    _import_labels(read, name, params_file, dry_run, probe, as_json, scale)


@app.command("features")
def features_command(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of <id>.csv, feature stores, or CSV, Parquet, npy, npz files."
        ),
    ],
    name: Annotated[str, typer.Option(help="What to call them in params.yaml.")],
    ids: Annotated[
        Path | None, typer.Option(help="The ids of an array's rows: lines of text, or CSV.")
    ] = None,
    dry_run: DryRun = False,
    params_file: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """Import features that others computed: a feature store, and its entry in params.yaml.

    Ids are matched to those of the label table: brackets, case, leading zeros and endings do not
    matter. Clips need no media. Pickles are refused: loading them runs code. Status 1 when a
    finding is an error: nothing is written then.

    Example: eri import features feats/fau --name fau --dry-run

    Example: eri import features vectors.npy --ids ids.txt --name clap
    """
    from pipeline.imports.findings import Findings, RefusedError
    from pipeline.imports.store import check_name, reading_features, write_import
    from pipeline.labels import LabelError, read_labels
    from pipeline.params import load_params

    params = load_params(params_file, check_heads=False, need_features=False)
    check_name(name, params)
    findings = Findings()
    written: list[Path] = []
    summary: dict[str, Any] = {"name": name}
    lines: list[str] = []
    try:
        wanted = list(read_labels(params.data.labels, params.targets)["clip_id"])
    except LabelError as error:
        kind = "label tables that cannot be used"
        findings.refuse(RefusedError(kind, [params.data.labels], str(error)))
    else:
        with reading_features(files, name, wanted, params, ids=ids, keep=not dry_run) as found:
            findings = found.findings
            if not (dry_run or findings.have_errors):
                written = write_import([found], params, params_file)
            summary |= _summary(found)
            lines = _headline(found)
    _show(summary, lines, findings, written, dry_run, as_json)


def _import_labels(
    read: "Callable[[Params, Findings], Collection]",
    name: str,
    params_file: Path,
    dry_run: bool,
    probe: bool,
    as_json: bool,
    scale: "Scale | None" = None,
) -> None:
    """Read a collection and check it, show what was found, and write it unless something forbids.

    Its feature sets are imported with it, each under the name ``<name>_<set>``.
    """
    from pipeline.imports.checks import check_labels, check_params
    from pipeline.imports.findings import Findings, RefusedError
    from pipeline.imports.probing import probe_files
    from pipeline.imports.store import check_name, reading_features, write_import
    from pipeline.params import load_params

    params = load_params(params_file, check_heads=False, need_features=False)
    findings = Findings()
    written: list[Path] = []
    path = IMPORTS / name / "labels.csv"
    summary: dict[str, Any] = {"name": name, "labels": path.as_posix()}
    lines: list[str] = []
    with ExitStack() as stack:
        try:
            collection = read(params, findings)
        except RefusedError as error:
            findings.refuse(error)
        else:
            labels = check_labels(collection, findings, scale)
            check_params(labels, params, findings)
            if probe:
                probe_files(labels, collection.media, collection.beside, findings)
            wanted = list(labels["clip_id"].dropna().unique())
            features = []
            for key, folder in collection.feature_sets.items():
                own = f"{name}_{key}"
                check_name(own, params)
                reading = reading_features([folder], own, wanted, params, keep=not dry_run)
                features.append(stack.enter_context(reading))
                found = features[-1].findings.all
                findings.all += [replace(each, kind=f"{own}: {each.kind}") for each in found]
            if not (dry_run or findings.have_errors):
                written = write_import(features, params, params_file, (path, labels, collection))
            splits = {str(k): int(n) for k, n in labels["split"].value_counts().items()}
            summary |= {
                "media": collection.media.as_posix(),
                "targets": list(collection.targets),
                "n_clips": len(labels),
                "n_clips_of_split": splits,
                "features": {each.name: _summary(each) for each in features},
            }
            lines = [
                f"{len(labels)} clips: {splits}; media in {collection.media}",
                f"{len(collection.targets)} targets: {', '.join(collection.targets)}",
                *(line for each in features for line in _headline(each)),
            ]
    _show(summary, lines, findings, written, dry_run, as_json)


def _show(
    summary: dict[str, Any],
    lines: list[str],
    findings: "Findings",
    written: list[Path],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Print what was found; status 1 when a finding is an error."""
    summary["findings"] = findings.as_json()
    summary["written"] = [path.as_posix() for path in written]
    verdict = "everything was imported before: no file changed"
    if findings.have_errors:
        verdict = "nothing is written: mend the errors first"
    elif dry_run:
        verdict = "nothing is written: a dry run"
    elif written:
        verdict = f"written: {', '.join(map(str, written))}\nnow run `dvc repro`"
    text = "\n".join([*lines, *map(str, findings.all), verdict])
    print(json.dumps(summary, indent=2) if as_json else text)
    if findings.have_errors:
        raise typer.Exit(1)


def _summary(found: "Features") -> dict[str, Any]:
    from pipeline.imports.store import store_of

    return {
        "store": store_of(found).as_posix(),
        "n_files": len(found.files),
        "n_clips": len(found.id_of),
        "n_rows": found.n_rows,
        "dimension": found.dimension,
        "columns": list(found.columns),
        "level": found.level,
        "taken_as": found.taken_as,
    }


def _headline(found: "Features") -> list[str]:
    names = ", ".join(found.columns[:5]) + ", …" * (len(found.columns) > 5)
    rows = "one row per clip" if found.level == "clip" else f"{found.n_rows} rows over time"
    return [
        f"{found.name}: {len(found.id_of)} clips in {len(found.files)} files, {rows}, "
        f"{found.dimension} features{f' ({names})' if names else ''}",
        f"  {found.taken_as}",
    ]


def _numbers(text: str, count: int, option: str) -> list[float]:
    try:
        numbers = [float(each) for each in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise typer.BadParameter(f"{option} {text}: expected {count} numbers joined by commas")
    return numbers
