"""The command `eri import features`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.paths import PARAMS

if TYPE_CHECKING:
    from pipeline.imports.features.importing import FeatureImport

_N_EXAMPLES = 5


def features_command(
    files: Annotated[
        list[Path],
        typer.Argument(help="Folders of <id>.csv, or CSV, Parquet, npy or npz files."),
    ],
    name: Annotated[str, typer.Option(help="What to call them in params.yaml.")],
    ids: Annotated[
        Path | None, typer.Option(help="The ids of an array's rows: lines of text, or CSV.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what is found; write nothing.")
    ] = False,
    params_file: Annotated[Path, typer.Option("--params", help="The parameters to use.")] = PARAMS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Import features that others computed: a feature store, and an encoder in params.yaml.

    Ids are matched to those of the label table: brackets, case, leading zeros and endings do not
    matter. Clips need no media. Pickles are refused: loading them runs code. Status 1 when a
    finding is an error: nothing is written then.

    Example: eri import features feats/fau --name fau --dry-run

    Example: eri import features vectors.npy --ids ids.txt --name clap
    """
    from pipeline.imports.features.importing import import_features

    found = import_features(files, name, ids=ids, dry_run=dry_run, params_file=params_file)
    if as_json:
        print(json.dumps(as_json_content(found), indent=2))
    else:
        print("\n".join([headline(found), *map(str, found.findings.all)]))
        if found.findings.have_errors:
            print("nothing is written: mend the errors first")
        elif dry_run:
            print("nothing is written: a dry run")
        else:
            print(f"written: {found.store}; stores.{name} in {params_file}\nnow run `dvc repro`")
    if found.findings.have_errors:
        raise typer.Exit(1)


def headline(found: "FeatureImport") -> str:
    """Say in two lines what features there are."""
    names = ", ".join(found.columns[:_N_EXAMPLES]) + ", …" * (len(found.columns) > _N_EXAMPLES)
    rows = "one row per clip" if found.level == "clip" else f"{found.n_rows} rows over time"
    return (
        f"{found.name}: {found.n_clips} clips in {found.n_files} files, {rows}, "
        f"{found.dimension} features{f' ({names})' if names else ''}\n  {found.taken_as}"
    )


def as_json_content(found: "FeatureImport") -> dict[str, object]:
    """Return all of it for `json.dumps`."""
    return {
        **vars(found),
        "store": found.store.as_posix(),
        "columns": list(found.columns),
        "findings": [vars(finding) for finding in found.findings.all],
        "written": found.sha256 is not None,
    }
