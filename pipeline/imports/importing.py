"""One import: what is read is checked and shown, and written unless something forbids it."""

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from features.files import file_sha256, replacing_file
from features.places import address_of
from features.store import StoreError, write_store
from pipeline.clip_ids import match_ids
from pipeline.clip_table import read_labels
from pipeline.findings import Findings, RefusedError
from pipeline.imports.clips import LabelSource, Scale, labelled_clips
from pipeline.imports.features import Features
from pipeline.params import Params, ParamsError, load_params
from pipeline.paths import IMPORTED_FEATURES, IMPORTS, PARAMS
from pipeline.settings_files import update_settings
from pipeline.views import store_sha256


@dataclass
class Import:
    """What one import found, and what it writes where no finding is an error.

    Attributes
    ----------
    name : str
        What to call the labels, or the features; features beside labels are ``<name>_<set>``.
    params : Params
        As they are before it.
    findings : Findings
        What was noticed.
    summary : dict
        What was found, for `json.dumps`.
    changes : dict
        Values of the parameters; see `pipeline.settings_files.update_settings`.
    writers : dict of Path to callable
        By file or folder, what writes it.
    """

    name: str
    params: Params
    findings: Findings = field(default_factory=Findings)
    summary: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    writers: dict[Path, Callable[[Path], object]] = field(default_factory=dict)

    @cached_property
    def clip_ids(self) -> list[str]:
        """Ids of the clips: of the label table that there is, until labels bring others."""
        return list(read_labels(self.params.data.labels, self.params.targets)["clip_id"])

    def match(self, have: Iterable[str], what: str) -> dict[str, str]:
        """Return by id, of features or transcripts, the clip's; what is odd is a finding."""
        ids = list(dict.fromkeys(have))
        matches = match_ids(self.clip_ids, ids)
        if matches.found or matches.ambiguous:
            advice = "they cannot be told apart: rename them as in the label table"
            self.findings.add_matches(matches, what, advice)
        else:
            done = f"no id of the files is in the label table, which has {self.clip_ids[:3]}"
            self.findings.error("ids of other clips", ids, done)
        return {theirs: ours for ours, theirs in matches.found.items()}


def import_data(
    name: str, add: Callable[[Import], None], *, dry_run: bool = False
) -> tuple[dict[str, Any], Findings]:
    """Import labels, features or transcripts.

    Parameters
    ----------
    name : str
        As `Import` has it.
    add : callable
        Reads them: `add_labels`, `add_features` or `pipeline.imports.transcripts.add_transcripts`.
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
    one = Import(name, params)
    # Sections that DVC follows: it stops where one is missing.
    one.changes = {section: {} for section in ("demo", "encoders", "stores")}
    one.changes |= {"transcripts": None} if params.transcripts is None else {}
    try:
        add(one)
    except RefusedError as error:
        one.findings.refuse(error)
    written: list[str] = []
    if not (dry_run or one.findings.have_errors):
        for path, write in one.writers.items():
            before = _digest(path)
            write(path)
            written += [str(path)] if _digest(path) != before else []
        if update_settings(PARAMS, one.changes, partial(load_params, need_features=False)):
            written.append(str(PARAMS))
    return {"name": name, "features": {}} | one.summary | {"written": written}, one.findings


def add_labels(
    read: Callable[[Findings], LabelSource],
    one: Import,
    *,
    scale: Scale | None = None,
    shares: Sequence[float] | None = None,
    probe: bool = True,
) -> None:
    """Add labels that `read` gives, and the features beside them.

    `scale`, `shares` and `probe` are those of `labelled_clips`.
    """
    source, path = read(one.findings), IMPORTS / one.name / "labels.csv"
    seed = one.params.seed
    labels, media = labelled_clips(source, one.findings, scale, shares, seed, probe=probe)
    folder, targets = media or path.parent, list(source.targets)
    data = {"labels": path.as_posix(), "media": address_of(folder) or folder.as_posix()}
    one.changes |= {"data": data, "targets": targets}
    if source.slices:
        one.changes["evaluation"] = {"slices": ["duration_s", *source.slices]}
    splits = {str(split): int(n) for split, n in labels["split"].value_counts().items()}
    one.summary |= data | {"targets": targets, "n_clips": len(labels), "n_clips_of_split": splits}
    one.clip_ids = list(labels["clip_id"].unique())
    for key, each in source.feature_sets.items():
        add_features([each], None, one, f"{one.name}_{key}")

    def write(path: Path) -> None:
        with replacing_file(path) as beside:
            labels.to_csv(beside, index=False, lineterminator="\n")

    one.writers[path] = write


def add_features(paths: Sequence[Path], ids: Path | None, one: Import, of_set: str = "") -> None:
    """Add features of the clips; `paths` and `ids` are those of `Features`.

    Beside labels `of_set` is what to call them, and comes before what is found.
    """
    name = of_set or one.name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):  # it is that of a folder
        raise ParamsError(f"--name {name!r}: expected letters, digits, _ and -")
    if name in one.params.encoders:
        raise ParamsError(f"params.yaml has an encoder {name!r}: choose another name")
    one.findings.prefix = f"{of_set}: " if of_set else ""
    _ = one.clip_ids  # a label table that cannot be used is said before hours of reading
    features = Features(paths, ids, one.findings)
    features.id_of |= one.match(features.id_of, "features")
    one.summary.setdefault("features", {})[name] = features.summary

    def write(store: Path) -> None:
        write_store(store, features.clips(), features.metadata)
        one.changes["stores"][name] = {"store": store.as_posix(), "sha256": store_sha256(store)}

    one.writers[IMPORTED_FEATURES / name] = write


def _digest(path: Path) -> str | None:
    with suppress(StoreError, OSError):
        return store_sha256(path) if path.is_dir() else file_sha256(path)
    return None
