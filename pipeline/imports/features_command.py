"""The command `eri import features`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.paths import PARAMS

if TYPE_CHECKING:
    from pipeline.imports.features import FeatureImport

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
    matter. Clips need no media. Pickles are refused: loading them runs code.

    Example: eri import features feats/fau --name fau --dry-run

    Example: eri import features vectors.npy --ids ids.txt --name clap
    """
    from pipeline.imports.features import import_features

    found = import_features(files, name, ids=ids, dry_run=dry_run, params_file=params_file)
    if as_json:
        print(json.dumps(_as_json(found), indent=2))
        return
    print(_as_text(found))
    if found.sha256 is None:
        print("nothing was written: leave out --dry-run to import")
    else:
        print(f"written: {found.store}; encoders.{name} in {params_file}\nnow run `dvc repro`")


def _findings(found: "FeatureImport") -> dict[str, list[str]]:
    return {
        "clips of the label table without features": found.missing,
        "features of no clip in the label table": found.unknown,
        "clips without any value, left out": found.empty,
        "clips whose rows were not in the order of time, sorted": found.unsorted,
        "columns that never vary": found.constant,
    }


def _as_text(found: "FeatureImport") -> str:
    columns = f" ({_examples(list(found.columns))})" if found.columns else ""
    rows = "one row per clip" if found.level == "clip" else f"{found.n_rows} rows over time"
    lines = [
        f"{found.name}: {found.n_clips} clips in {found.n_files} files, {rows}",
        f"  {found.dimension} features{columns}",
        f"  {found.taken_as}",
    ]
    if found.n_nan or found.n_infinite:
        lines.append(
            f"  {found.n_nan} values are missing, {found.n_infinite} infinite: taken as gaps"
        )
    for what, examples in _findings(found).items():
        if examples:
            lines.append(f"  {len(examples)} {what}: {_examples(examples)}")
    return "\n".join(lines)


def _examples(names: list[str]) -> str:
    return ", ".join(names[:_N_EXAMPLES]) + (", …" if len(names) > _N_EXAMPLES else "")


def _as_json(found: "FeatureImport") -> dict[str, object]:
    content: dict[str, object] = {
        **vars(found),
        "store": found.store.as_posix(),
        "columns": list(found.columns),
        "written": found.sha256 is not None,
    }
    for key in ("missing", "unknown", "empty", "unsorted", "constant"):
        names = getattr(found, key)
        content[key] = {"n": len(names), "examples": names[:_N_EXAMPLES]}
    return content
