"""What the commands `eri import hume`, `muse` and `table` share: check, probe, show, write."""

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import typer

from pipeline.clip_table import lacking_columns
from pipeline.imports.checks import Scale, check_labels
from pipeline.imports.collection import Collection
from pipeline.imports.features.command import as_json_content, headline
from pipeline.imports.features.importing import ScannedFeatures, check_name, scan_features
from pipeline.imports.findings import Findings, RefusedError
from pipeline.imports.probing import probe_files
from pipeline.imports.write import write_import
from pipeline.params import Params
from pipeline.paths import IMPORTS


def finish_import(
    read: Callable[[Findings], Collection],
    name: str,
    params: Params,
    params_file: Path,
    *,
    dry_run: bool,
    probe: bool,
    as_json: bool,
    scale: Scale | None = None,
) -> None:
    """Read a collection and check it, show what was found, and write it unless something forbids.

    Its feature sets are imported with it, each as the encoder ``<name>_<set>``.

    Raises
    ------
    typer.Exit
        With status 1 when a finding is an error.
    """
    findings = Findings()
    path = IMPORTS / name / "labels.csv"
    summary: dict[str, object] = {"name": name, "labels": path.as_posix()}
    lines: list[str] = []
    written: list[Path] = []
    with ExitStack() as stack:
        try:
            collection = read(findings)
        except RefusedError as error:
            findings.refuse(error)
        else:
            labels = check_labels(collection, findings, scale)
            _check_params(labels, params, findings)
            if probe:
                probe_files(labels, collection.media, collection.sound_beside, findings)
            features = [
                stack.enter_context(
                    scan_features([folder], encoder, _ids(labels), params, keep=not dry_run)
                )
                for encoder, folder in _encoders(collection, name, params).items()
            ]
            for each in features:
                findings.take(each.report.findings, each.report.name)
            if not (dry_run or findings.have_errors):
                written = _write(labels, collection, features, path, params_file)
            summary |= _summary(labels, collection, features)
            lines = _lines(labels, collection, features)
    if as_json:
        summary["findings"] = [vars(finding) for finding in findings.all]
        summary["written"] = [each.as_posix() for each in written]
        print(json.dumps(summary, indent=2))
    else:
        print("\n".join([*lines, *map(str, findings.all)]))
        print(_verdict(findings, written, path, dry_run))
    if findings.have_errors:
        raise typer.Exit(1)


def _ids(labels: pd.DataFrame) -> list[str]:
    return list(labels["clip_id"].dropna().unique())


def _encoders(collection: Collection, name: str, params: Params) -> dict[str, Path]:
    """Name the encoders of the feature sets; raises ParamsError where one is taken."""
    encoders = {f"{name}_{key}": folder for key, folder in collection.feature_sets.items()}
    for encoder in encoders:
        check_name(encoder, params)
    return encoders


def _check_params(labels: pd.DataFrame, params: Params, findings: Findings) -> None:
    """Say what in the parameters would stop the run on these clips."""
    done = "take them out of params.yaml: the index would stop"
    for key, names in lacking_columns(labels, params).items():
        findings.add(f"evaluation.{key} that the table lacks", "warning", names, done)
    if labels["path"].isna().all():
        needing = list(params.encoders)
        done = "take them out of params.yaml: without media the stage `extract` stops"
        findings.add("encoders that need media", "warning", needing, done)


def _write(
    labels: pd.DataFrame,
    collection: Collection,
    features: Sequence[ScannedFeatures],
    path: Path,
    params_file: Path,
) -> list[Path]:
    for each in features:
        each.write()
    entries = {each.report.name: each.report.entry for each in features}
    return write_import(labels, collection, entries, path, params_file)


def _summary(
    labels: pd.DataFrame, collection: Collection, features: Sequence[ScannedFeatures]
) -> dict[str, object]:
    return {
        "media": collection.media.as_posix(),
        "targets": list(collection.targets),
        "n_clips": len(labels),
        "n_clips_of_split": {str(k): int(n) for k, n in labels["split"].value_counts().items()},
        "features": {each.report.name: as_json_content(each.report) for each in features},
    }


def _lines(
    labels: pd.DataFrame, collection: Collection, features: Sequence[ScannedFeatures]
) -> list[str]:
    splits = {str(k): int(n) for k, n in labels["split"].value_counts().items()}
    return [
        f"{len(labels)} clips: {splits}; media in {collection.media}",
        f"{len(collection.targets)} targets: {', '.join(collection.targets)}",
        *(headline(each.report) for each in features),
    ]


def _verdict(findings: Findings, written: Sequence[Path], path: Path, dry_run: bool) -> str:
    if findings.have_errors:
        return "nothing is written: mend the errors first"
    if dry_run:
        return f"nothing is written: a dry run; the label table would be {path}"
    if written:
        return f"written: {', '.join(map(str, written))}\nnow run `dvc repro`"
    return "everything was imported before: no file changed"
