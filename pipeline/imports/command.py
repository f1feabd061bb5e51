"""What the commands `eri import hume`, `muse` and `table` share: check, probe, show, write."""

import json
from pathlib import Path

import pandas as pd
import typer

from pipeline.imports.checks import Scale, check_labels
from pipeline.imports.collection import Collection
from pipeline.imports.probing import probe_files
from pipeline.imports.write import write_import
from pipeline.params import Params
from pipeline.paths import IMPORTS


def finish_import(
    collection: Collection,
    name: str,
    params: Params,
    params_file: Path,
    *,
    dry_run: bool,
    probe: bool,
    as_json: bool,
    scale: Scale | None = None,
) -> None:
    """Check a collection, show what was found, and write it unless something forbids it.

    Raises
    ------
    typer.Exit
        With status 1 when a finding is an error.
    """
    findings = collection.findings
    labels = check_labels(collection, scale)
    slices = [each for each in params.evaluation.slices if each not in labels]
    done = "take them out of params.yaml: the index would stop"
    findings.add("evaluation.slices that the table lacks", "warning", slices, done)
    if probe:
        probe_files(labels, collection.media, collection.sound_beside, findings)
    written: list[Path] = []
    path = IMPORTS / name / "labels.csv"
    if not (dry_run or findings.have_errors):
        written = write_import(labels, collection, path, params_file)
    summary = {
        "name": name,
        "labels": path.as_posix(),
        "media": collection.media.as_posix(),
        "targets": list(collection.targets),
        "n_clips": len(labels),
        "n_clips_of_split": {str(k): int(n) for k, n in labels["split"].value_counts().items()},
        "feature_sets": {key: each.as_posix() for key, each in collection.feature_sets.items()},
        "findings": [vars(finding) for finding in findings.all],
        "written": [each.as_posix() for each in written],
    }
    if as_json:
        print(json.dumps(summary, indent=2))
    else:
        _show(collection, labels, summary["n_clips_of_split"], path, written, dry_run)
    if findings.have_errors:
        raise typer.Exit(1)


def _show(
    collection: Collection,
    labels: pd.DataFrame,
    splits: object,
    path: Path,
    written: list[Path],
    dry_run: bool,
) -> None:
    print(f"{len(labels)} clips: {splits}; media in {collection.media}")
    print(f"{len(collection.targets)} targets: {', '.join(collection.targets)}")
    for name, folder in collection.feature_sets.items():
        print(f"feature set {name}: eri import features {folder} --name {name}")
    for finding in collection.findings.all:
        print(finding)
    if collection.findings.have_errors:
        print("nothing is written: mend the errors first")
    elif dry_run:
        print(f"nothing is written: a dry run; the label table would be {path}")
    elif written:
        print(f"written: {', '.join(map(str, written))}\nnow run `dvc repro`")
    else:
        print("everything was imported before: no file changed")
