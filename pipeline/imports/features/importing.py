"""From files of features to a feature store and an entry under `stores:`."""

import hashlib
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from features.segments import Embedding
from features.store import StoredClip
from features.store_writer import write_store
from pipeline.imports.features.clips import compare_stores, name_clips
from pipeline.imports.features.files import files_of, read_blocks
from pipeline.imports.features.scan import Scan
from pipeline.imports.findings import Findings, RefusedError
from pipeline.labels import LabelError, read_labels
from pipeline.params import Params, ParamsError, load_params
from pipeline.params_file import update_params
from pipeline.paths import IMPORTED_FEATURES, PARAMS
from pipeline.views import store_sha256


@dataclass
class FeatureImport:
    """What was found in files of features, and what became of it.

    Attributes
    ----------
    name : str
        The encoder's name.
    sources : list of str
        Names of the files or folders.
    store : Path
        The feature store.
    n_files, n_clips, n_rows : int
        Files read, clips with features, and their rows.
    columns : tuple of str
        Names of the columns; empty for arrays.
    dimension : int
        Their number.
    level : {"clip", "frame"}
        ``clip`` when every clip has one row.
    taken_as : str
        What the columns that are no features were taken for.
    n_missing, n_infinite : int
        Values that are missing, and infinities (also of more than float32 holds), which are made
        missing: both are left out column by column when a clip is pooled.
    findings : Findings
        What was noticed. An error keeps everything from being written.
    sha256 : str or None
        The store's digest; None when nothing was written.
    """

    name: str
    sources: list[str]
    store: Path
    n_files: int = 0
    n_clips: int = 0
    n_rows: int = 0
    columns: tuple[str, ...] = ()
    dimension: int = 0
    level: str = "clip"
    taken_as: str = ""
    n_missing: int = 0
    n_infinite: int = 0
    findings: Findings = field(default_factory=Findings)
    sha256: str | None = None

    @property
    def entry(self) -> dict[str, str | None]:
        """What stands under `stores` in `params.yaml`."""
        return {"store": self.store.as_posix(), "sha256": self.sha256}


class ScannedFeatures:
    """Files of features that were read and checked, and wait to be written.

    Attributes
    ----------
    report : FeatureImport
        What was found.
    """

    def __init__(
        self, report: FeatureImport, scan: Scan, names: Mapping[str, str], files: Sequence[Path]
    ) -> None:
        self.report = report
        self._scan = scan
        self._names = names
        self._files = files

    def write(self) -> None:
        """Write the feature store; the same features give the same bytes.

        Raises
        ------
        OSError, StoreError
            When it cannot be written; an old store is left as it was.
        """
        metadata = _metadata(self.report, self._files)
        write_store(self.report.store, self._clips(), metadata)
        self.report.sha256 = store_sha256(self.report.store)

    def _clips(self) -> Iterator[StoredClip]:
        theirs = sorted(self._names, key=lambda each: self._names[each])
        for clip_id, time_s, values, face_share in self._scan.read(theirs):
            digest = hashlib.sha256(time_s.tobytes())
            digest.update(values.tobytes())
            embedding = Embedding(time_s, values, face_share)
            yield StoredClip(self._names[clip_id], digest.hexdigest(), embedding)


def import_features(
    files: Sequence[Path],
    name: str,
    *,
    ids: Path | None = None,
    dry_run: bool = False,
    params_file: Path = PARAMS,
) -> FeatureImport:
    """Write a feature store of files that others made, and enter it in `params.yaml`.

    Memory holds a part of a file at a time, whatever its size: rows wait on disk until all of them
    are checked. The same files give the same bytes.

    Parameters
    ----------
    files : sequence of Path
        Folders of one ``<id>.csv`` per clip; tables (CSV, Parquet) with an id column; arrays (npy,
        npz) with ids. Several are put together and have the same columns.
    name : str
        The encoder's name in `params.yaml`.
    ids : Path, optional
        The ids of an array's rows: text, one in each line, or a CSV table with an id column.
    dry_run : bool
        Write nothing.
    params_file : Path
        Names the label table, whose ids are matched, and takes the encoder.

    Returns
    -------
    FeatureImport
        Where its findings have errors, nothing was written.

    Raises
    ------
    ParamsError
        When the name is no name, or another encoder has it.
    """
    params = load_params(params_file, check_heads=False)
    check_name(name, params)
    try:
        wanted = list(read_labels(params.data.labels, params.targets)["clip_id"])
    except LabelError as error:
        report = _new_report(files, name)
        kind = "label tables that cannot be used"
        report.findings.refuse(RefusedError(kind, [params.data.labels], str(error)))
        return report
    with scan_features(files, name, wanted, params, ids=ids, keep=not dry_run) as scanned:
        report = scanned.report
        if not dry_run and not report.findings.have_errors:
            scanned.write()
            update_params(params_file, {"stores": {name: report.entry}})
    return report


@contextmanager
def scan_features(
    files: Sequence[Path],
    name: str,
    wanted: Sequence[str],
    params: Params,
    *,
    ids: Path | None = None,
    keep: bool,
) -> Iterator[ScannedFeatures]:
    """Read and check files of features, as `import_features` does.

    Parameters
    ----------
    files, name, ids
        As there.
    wanted : sequence of str
        The ids of the label table.
    params : Params
        Name the other imported encoders.
    keep : bool
        Keep the rows on disk while the block lasts, so that they can be written.
    """
    report = _new_report(files, name)
    if keep:  # beside the store: /tmp may be memory
        report.store.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=report.store.parent if keep else None) as spool:
        scan = Scan(report.findings, spool if keep else None)
        for path in files:
            try:
                scan.take(read_blocks(path, ids, report.findings))
            except RefusedError as error:
                report.findings.refuse(error)
        scan.finish()
        report.n_files = sum(len(files_of(path)) for path in files if path.exists())
        report.columns, report.dimension = scan.columns, scan.dimension
        report.n_clips, report.n_rows, report.level = scan.n_clips, scan.n_rows, scan.level
        report.n_missing, report.n_infinite = scan.n_missing, scan.n_infinite
        report.taken_as = scan.taken_as
        names = name_clips(wanted, scan.clip_ids, report.sources, report.findings)
        compare_stores(set(names.values()), name, params, report.findings)
        yield ScannedFeatures(report, scan, names, [*files, *([ids] if ids else [])])


def check_name(name: str, params: Params) -> None:
    """Make sure that an encoder may be called that.

    Raises
    ------
    ParamsError
        When the name is no name, or an encoder has it.
    """
    check_spelling(name)
    if name in params.encoders:
        raise ParamsError(f"params.yaml has an encoder {name!r}: choose another name")


def check_spelling(name: str) -> None:
    """Make sure that an import may be called that: names become those of folders.

    Raises
    ------
    ParamsError
        When the name is no name.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise ParamsError(f"--name {name!r}: expected letters, digits, _ and -")


def _new_report(files: Sequence[Path], name: str) -> FeatureImport:
    return FeatureImport(name, [path.name for path in files], IMPORTED_FEATURES / name)


def _metadata(report: FeatureImport, files: Sequence[Path]) -> dict[str, Any]:
    """Say what the store is made of; names without folders, so that machines do not differ."""
    digest = hashlib.sha256()
    for path in files:
        for each in files_of(path):
            digest.update(each.name.encode())
            with each.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
    metadata: dict[str, Any] = {
        "level": report.level,
        "sources": report.sources,
        "sources_sha256": digest.hexdigest(),
        "taken_as": report.taken_as,
    }
    if report.columns:
        metadata["columns"] = list(report.columns)
    return metadata
