"""Features that others computed become a feature store, and an entry under `encoders:`."""

import hashlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from features.encoders.imported import store_digest
from features.segments import Embedding
from features.store import StoredClip, write_store
from pipeline.clip_ids import IdMatches, match_ids
from pipeline.imports.features_columns import FeatureImportError
from pipeline.imports.features_files import Rows, files_of, read_rows
from pipeline.labels import read_labels
from pipeline.params import Params, ParamsError, load_params
from pipeline.params_file import update_params
from pipeline.paths import IMPORTED_FEATURES, PARAMS


@dataclass
class FeatureImport:
    """What was found in files of features, and what became of it.

    Attributes
    ----------
    name : str
        The encoder's name.
    sources : list of str
        Names of the files or folders.
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
    n_nan, n_infinite : int
        Values that are missing, and infinities (also of more than float32 holds), which are made
        missing: both are left out column by column when a clip is pooled.
    empty : list of str
        Clips without any value: left out.
    unsorted : list of str
        Clips whose rows were not in the order of time: sorted.
    constant : list of str
        Columns that never vary, or hold no value.
    missing, unknown : list of str
        Clips of the label table without features, and features of no clip of it, which stay in the
        store under their own names.
    store : Path
        The feature store.
    sha256 : str or None
        Its digest; None when nothing was written.
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
    n_nan: int = 0
    n_infinite: int = 0
    empty: list[str] = field(default_factory=list)
    unsorted: list[str] = field(default_factory=list)
    constant: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    sha256: str | None = None


def import_features(
    files: Sequence[Path],
    name: str,
    *,
    ids: Path | None = None,
    dry_run: bool = False,
    params_file: Path = PARAMS,
) -> FeatureImport:
    """Write a feature store of files that others made, and enter it in `params.yaml`.

    Memory holds one file at a time: rows wait on disk until all of them are checked. The same files
    give the same bytes.

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

    Raises
    ------
    FeatureImportError
        When the files cannot be used: pickles, text among numbers, widths that differ, ids that
        come twice or cannot be told apart, no clip of the label table.
    LabelError
        When there is no label table yet.
    ParamsError
        When the name is no name, or another encoder has it.
    """
    params = load_params(params_file, check_heads=False)
    _check_name(name, params)
    wanted = list(read_labels(params.data.labels, params.targets)["clip_id"])
    report = FeatureImport(name, [path.name for path in files], IMPORTED_FEATURES / name)
    with tempfile.TemporaryFile() as spool:
        scan = _Scan(report, None if dry_run else spool)
        for path in files:
            report.n_files += len(files_of(path))
            for rows in read_rows(path, ids):
                scan.take(rows)
        scan.finish()
        names = _match(wanted, report, list(scan.places))
        if dry_run:
            return report
        metadata = _metadata(report, files, ids)
        write_store(report.store, scan.clips(names), metadata)
    report.sha256 = store_digest(report.store)
    entry = {"kind": "imported", "store": report.store.as_posix(), "sha256": report.sha256}
    if params.encoders.get(name) != entry:
        update_params(params_file, {"encoders": {name: entry}})
    return report


class _Scan:
    """Checks and counts rows, and keeps them in a file, clip after clip."""

    def __init__(self, report: FeatureImport, spool: IO[bytes] | None) -> None:
        self.places: dict[str, tuple[int, NDArray[np.float64]]] = {}  # first row, times
        self._report = report
        self._spool = spool
        self._source_of: dict[str, str] = {}
        self._low = self._high = np.empty(0, np.float32)

    def take(self, rows: Rows) -> None:
        report = self._report
        if rows.clip_id in self._source_of:
            raise FeatureImportError(
                f"features of the clip {rows.clip_id!r} come twice: in "
                f"{self._source_of[rows.clip_id]} and {rows.source}; remove one"
            )
        width = rows.values.shape[1]
        if not self._source_of:
            report.columns, report.dimension, report.taken_as = rows.columns, width, rows.note
            self._first = rows.source
            self._low = np.full(width, np.inf, np.float32)
            self._high = -self._low
        self._source_of[rows.clip_id] = rows.source
        if width != report.dimension or rows.columns != report.columns:
            odd = sorted(set(rows.columns) ^ set(report.columns))[:3]
            raise FeatureImportError(
                f"{rows.source} has {width} feature columns, {self._first} {report.dimension}"
                f"{f' (only in one of them: {odd})' if odd else ''}: expected the same, in one "
                "order"
            )
        time_s, values = self._in_order(rows)
        report.n_nan += int(np.isnan(values).sum())
        with np.errstate(over="ignore"):
            values = values.astype(np.float32)
        infinite = np.isinf(values)
        report.n_infinite += int(infinite.sum())
        values[infinite] = np.nan
        if np.isnan(values).all():
            report.empty.append(rows.clip_id)
            return
        self._low = np.fmin(self._low, np.fmin.reduce(values))
        self._high = np.fmax(self._high, np.fmax.reduce(values))
        self.places[rows.clip_id] = (report.n_rows, time_s)
        report.n_clips += 1
        report.n_rows += len(values)
        if len(values) > 1:
            report.level = "frame"
        if self._spool is not None:
            self._spool.write(values.tobytes())

    def finish(self) -> None:
        report = self._report
        if not self.places:
            raise FeatureImportError(f"{', '.join(report.sources)}: no clip has a value")
        varies = self._high > self._low
        names = report.columns or tuple(map(str, range(report.dimension)))
        if report.n_rows > 1:
            report.constant = [name for name, each in zip(names, varies, strict=True) if not each]

    def clips(self, names: dict[str, str]) -> Iterator[StoredClip]:
        """Yield clips by their new names, in the order of these."""
        assert self._spool is not None  # only a dry run has none
        self._spool.flush()
        shape = (self._report.n_rows, self._report.dimension)
        matrix = np.memmap(self._spool, np.float32, "r", shape=shape)
        for clip_id, source_id in sorted((new, old) for old, new in names.items()):
            first, time_s = self.places[source_id]
            if self._report.level == "clip":
                time_s = np.zeros(1)
            values = np.asarray(matrix[first : first + len(time_s)])
            digest = hashlib.sha256(time_s.tobytes())
            digest.update(values.tobytes())
            yield StoredClip(clip_id, digest.hexdigest(), Embedding(time_s, values))

    def _in_order(self, rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.floating]]:
        if rows.time_s is None:
            return np.arange(len(rows.values), dtype=np.float64), rows.values
        if not np.isfinite(rows.time_s).all():
            raise FeatureImportError(f"{rows.source} has rows of {rows.clip_id!r} without a time")
        if (np.diff(rows.time_s) >= 0).all():
            return rows.time_s, rows.values
        self._report.unsorted.append(rows.clip_id)
        order = np.argsort(rows.time_s, kind="stable")
        return rows.time_s[order], rows.values[order]


def _match(wanted: Sequence[str], report: FeatureImport, have: Sequence[str]) -> dict[str, str]:
    """Return the name in the store of every id in the files."""
    matches: IdMatches = match_ids(wanted, have)
    if matches.ambiguous:
        pairs = "; ".join(f"{theirs} for {ours}" for theirs, ours in matches.ambiguous[:3])
        raise FeatureImportError(
            f"{len(matches.ambiguous)} ids cannot be told apart: the files have {pairs} of the "
            "label table. Rename them as in the label table"
        )
    if not matches.found:
        raise FeatureImportError(
            f"no id of the files is in the label table: they have {list(have[:3])}, the label "
            f"table {list(wanted[:3])}"
        )
    report.missing, report.unknown = matches.missing, matches.unknown
    return {each: matches.found.get(each, each) for each in have}


def _metadata(report: FeatureImport, files: Sequence[Path], ids: Path | None) -> dict[str, Any]:
    """Say what the store is made of; names without folders, so that machines do not differ."""
    digest = hashlib.sha256()
    for path in [*files, *([ids] if ids else [])]:
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


def _check_name(name: str, params: Params) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise ParamsError(f"--name {name!r}: expected letters, digits, _ and -")
    kind = params.encoders.get(name, {}).get("kind", "imported")
    if kind != "imported":
        raise ParamsError(f"params.yaml has an encoder {name!r} of kind {kind}: choose another")
