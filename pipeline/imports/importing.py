"""One import: what is read is checked and shown, and written unless something forbids it."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from features.files import replacing_file
from features.places import address_of
from features.store import write_store
from pipeline.clip_ids import match_ids
from pipeline.findings import Findings, RefusedError
from pipeline.imports.clips import LabelSource, Scale, labelled_clips, probe_files
from pipeline.imports.features import Features
from pipeline.labels import LabelError, read_labels
from pipeline.params import Params, ParamsError, load_params
from pipeline.paths import IMPORTED_FEATURES, IMPORTS, PARAMS
from pipeline.settings_files import update_settings
from pipeline.views import store_sha256


def import_data(
    name: str,
    read: Callable[[Findings], LabelSource] | None = None,
    files: Sequence[Path] = (),
    ids: Path | None = None,
    *,
    scale: Scale | None = None,
    shares: Sequence[float] | None = None,
    probe: bool = True,
    dry_run: bool = False,
) -> tuple[dict[str, Any], Findings]:
    """Import labels with the features beside them, or features of the clips of the label table.

    Parameters
    ----------
    name : str
        What to call the labels, or the features; features beside labels are ``<name>_<set>``.
    read : callable, optional
        Gives the labels.
    files, ids : sequence of Path, Path, optional
        The features; see `Features`.
    scale, shares : optional
        Of the targets, and of the splits; see `labelled_clips`.
    probe : bool
        Read every media file.
    dry_run : bool
        Write nothing.

    Returns
    -------
    summary : dict
        What was found, for `json.dumps`; under ``written`` the stores and files that changed. The
        same content gives the same bytes.
    findings : Findings
        What was noticed. An error keeps everything from being written.

    Raises
    ------
    ParamsError
        When the parameters would not be valid, such as for a target with the name of a column.
    """
    params = load_params(check_heads=False, need_features=False)
    findings, table = Findings(), IMPORTS / name / "labels.csv"
    summary: dict[str, Any] = {"name": name, "features": {}}
    labels, sets = None, {name: files}
    # Sections that DVC follows: it stops where one is missing.
    changes: dict[str, Any] = {section: {} for section in ("demo", "encoders", "stores")}
    changes |= {"transcripts": None} if params.transcripts is None else {}
    features = []
    try:
        if read is None:
            wanted = list(read_labels(params.data.labels, params.targets)["clip_id"])
        else:
            source = read(findings)
            labels, media = labelled_clips(source, findings, scale, shares, params.seed)
            if probe and media is not None:
                probe_files(labels, media, findings)
            wanted = list(labels["clip_id"].dropna().unique())
            folder = media or table.parent
            data = {"labels": table.as_posix(), "media": address_of(folder) or folder.as_posix()}
            changes |= {"data": data, "targets": list(source.targets)}
            if source.slices:
                changes["evaluation"] = {"slices": ["duration_s", *source.slices]}
            splits = {str(split): int(n) for split, n in labels["split"].value_counts().items()}
            summary |= data | {"targets": list(source.targets), "n_clips": len(labels)}
            summary["n_clips_of_split"] = splits
            sets = {f"{name}_{key}": [folder] for key, folder in source.feature_sets.items()}
        for key, paths in sets.items():
            findings.prefix = "" if labels is None else f"{key}: "
            features.append(_read_features(params, key, paths, ids, wanted, findings))
            summary["features"][key] = features[-1].summary()
    except RefusedError as error:
        findings.refuse(error)
    except LabelError as error:
        kind = "label tables that cannot be used"
        findings.add(kind, "error", [params.data.labels], str(error))
    written = summary["written"] = []
    if dry_run or findings.have_errors:
        return summary, findings
    for each in features:
        store = IMPORTED_FEATURES / each.name
        write_store(store, each.clips(), each.metadata)
        entry = {"store": store.as_posix(), "sha256": store_sha256(store)}
        before = params.stores.get(each.name)
        written += [str(store)] if before is None or before.sha256 != entry["sha256"] else []
        changes["stores"][each.name] = entry
    if labels is not None:
        content = labels.to_csv(index=False, lineterminator="\n").encode()
        if not table.is_file() or table.read_bytes() != content:
            with replacing_file(table) as beside:
                beside.write_bytes(content)
            written.append(str(table))
    if update_settings(PARAMS, changes, partial(load_params, need_features=False)):
        written.append(str(PARAMS))
    return summary, findings


def _read_features(
    params: Params,
    name: str,
    paths: Sequence[Path],
    ids: Path | None,
    wanted: Sequence[str],
    findings: Findings,
) -> Features:
    """Read features, and find which of the clips that are wanted they are of."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):  # it is that of a folder
        raise ParamsError(f"--name {name!r}: expected letters, digits, _ and -")
    if name in params.encoders:
        raise ParamsError(f"params.yaml has an encoder {name!r}: choose another name")
    features = Features(name, paths, ids, findings)
    if not features.id_of:
        return features
    matches = match_ids(wanted, features.id_of)
    if matches.found or matches.ambiguous:
        advice = "they cannot be told apart: rename them as in the label table"
        findings.add_matches(matches, "features", advice)
        features.id_of |= {theirs: ours for ours, theirs in matches.found.items()}
    else:
        done = f"no id of the files is in the label table, which has {list(wanted[:3])}"
        findings.add("ids of other clips", "error", features.id_of, done)
    return features
