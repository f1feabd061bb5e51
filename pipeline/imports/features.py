"""Features that others computed, read and checked block by block; the numbers wait on disk."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.cache import Embedding
from features.extraction.index import clip_progress
from features.pool import is_clip_level
from pipeline.imports.columns import (
    FeatureColumns,
    feature_values,
    guess_feature_columns,
    time_unit,
    to_numbers,
)
from pipeline.imports.findings import Findings, RefusedError
from pipeline.imports.reading import Table, open_table

# What is kept of each row of a file.
_ROW = {"clip": "str", "time_s": "float64", "face_share": "float64"}
_ROW |= {"n_values": "int64", "n_gaps": "int64"}


class Features:
    """The features of one name, from several files: `take` each, then `finish`.

    Parameters
    ----------
    name : str
        What they are to be called.
    findings : Findings
        What is noticed is added.
    spool : file
        Empty; takes the numbers as they are read.

    Attributes
    ----------
    id_of : dict of str to str
        By clip that has a value, as the files name it: its id in the store, at first the same.
    metadata : dict
        For the store: ``columns`` (their names; none of arrays), ``level`` (``clip`` when every
        clip has one row that stands for all of it, else ``frame``), ``taken_as`` (what the other
        columns were taken for) and ``origin`` (what a feature store of ours said of itself).
    """

    def __init__(self, name: str, findings: Findings, spool: IO[bytes]) -> None:
        self.name = name
        self.id_of: dict[str, str] = {}
        self.metadata: dict[str, Any] = {"columns": [], "level": "clip"}
        self._findings = findings
        self._spool = spool
        self._first: Path | None = None  # the file that says which columns there are
        self._dimension = self._n_rows = self._n_files = 0
        self._source: dict[str, Path] = {}  # by clip
        self._blocks: list[pd.DataFrame] = []

    def take(self, path: Path, ids: Path | None = None) -> None:
        """Read a folder or a file; what cannot be used becomes a finding.

        Parameters
        ----------
        path : Path
            A folder of one ``<id>.csv`` per clip; a feature store, or a shard of one; a table, CSV
            or Parquet, with an id column; an npy or npz file.
        ids : Path, optional
            The ids of the rows of an array.
        """
        files = [path]
        if path.is_dir():
            csvs = sorted(each for each in path.rglob("*.csv") if each.name[0] != ".")
            files = sorted(path.glob("part-*.parquet")) or csvs
            if not files:
                why = f"{path} holds no CSV file: expected one <id>.csv per clip, or a store"
                self._findings.refuse(RefusedError("folders without features", [path], why))
        n_before, columns = len(self._blocks), None
        with clip_progress(path.name, len(files), shown=len(files) > 1) as advance:
            for file in files:
                of_one_clip = path.is_dir() and file.suffix != ".parquet"
                source = file if of_one_clip else path
                try:
                    table = open_table(file, ids)
                    columns = self._take_table(table, source, file.stem if of_one_clip else None)
                    self._n_files += 1
                except RefusedError as error:
                    self._findings.refuse(error)
                advance()
        if columns is None:
            return
        rows = pd.concat([_no_rows(), *self._blocks[n_before:]], ignore_index=True)
        time = "none, rows are counted"
        if columns.time is not None:
            steps = rows.groupby("clip")["time_s"].diff().to_numpy()
            unit = time_unit(columns.time, steps[np.isfinite(steps)])
            rows["time_s"] /= 1000 if unit == "ms" else 1
            time = f"{columns.time!r} in {unit}"
        elif not path.is_dir():
            self._check_unique(path, rows["clip"])
        self._blocks[n_before:] = [rows]
        left_out = f"; left out: {columns.left_out}" if columns.left_out else ""
        taken_as = f"id: {columns.id or 'the file name'}; time: {time}{left_out}"
        self.metadata.setdefault("taken_as", taken_as)

    def finish(self) -> None:
        """Bring the rows in the order of clips and times, and say what was noticed."""
        rows = pd.concat([_no_rows(), *self._blocks], ignore_index=True)
        by_clip = rows.groupby("clip", sort=False)
        totals = by_clip[["n_values", "n_gaps"]].sum()
        add = self._findings.add
        gone = rows.loc[rows["time_s"] == np.inf, "clip"].unique()
        add("clips with rows without a time", "error", gone, "fill them, or remove the rows")
        n_gaps = totals["n_gaps"]
        done = f"{n_gaps.sum()} values are gaps, which pooling leaves out column by column"
        add("clips with empty or infinite values", "warning", totals.index[n_gaps > 0], done)
        self.id_of = {str(clip): str(clip) for clip in totals.index[totals["n_values"] > 0]}
        empty = [clip for clip in self._source if clip not in self.id_of]
        add("clips without any value", "warning", empty, "left out")
        if not self.id_of and not self._findings.have_errors:
            add("features without any value", "error", [self.name], "no clip has a value")
        # Rows without times keep the order of the file.
        self._in_order = rows[["clip", "time_s", "face_share"]].sort_values("time_s", kind="stable")
        self._places = self._in_order.groupby("clip").indices
        n_rows = [len(self._places[clip]) for clip in self.id_of]
        self._n_rows = sum(n_rows)
        if max(n_rows, default=1) > 1:
            self.metadata["level"] = "frame"

    def summary(self) -> dict[str, Any]:
        """Return what was found, for `json.dumps`."""
        numbers = {"n_files": self._n_files, "n_clips": len(self.id_of), "n_rows": self._n_rows}
        return {**numbers, "dimension": self._dimension, **self.metadata}

    def embedding(self, clip: str) -> Embedding:
        """Return the rows of a clip in the order of time, from the spool."""
        self._spool.flush()
        rows = self._in_order.iloc[self._places[clip]]
        matrix = np.memmap(self._spool, np.float32, "r").reshape(-1, self._dimension)
        time_s, share = rows["time_s"].to_numpy(np.float64), float(rows["face_share"].iloc[0])
        if np.isnan(time_s).any():
            time_s = np.arange(len(rows), dtype=np.float64)
        return Embedding(time_s, np.array(matrix[rows.index]), None if np.isnan(share) else share)

    def _take_table(self, table: Table, source: Path, clip: str | None) -> FeatureColumns:
        """Take the rows of a table, which are all of `clip` where that is given."""
        own = table.metadata  # of a feature store of ours
        has_share = own is not None and "face_share" in table.columns
        names = [name for name in table.columns if not (has_share and name == "face_share")]
        columns = guess_feature_columns(names, source)
        if own is not None:
            self.metadata["origin"] = own
            if columns.time is not None and not is_clip_level(own):
                self.metadata["level"] = "frame"
        if clip is not None:
            self._note_source([clip], source)  # also of one without rows
        elif columns.id is None:
            why = (
                f"{source} has no id column among its first ones {names[:3]}: expected one such as "
                "clip_id, name or File_ID. Files of one clip each are given as their folder"
            )
            raise RefusedError("tables without ids", [source], why)
        for block in table.blocks:
            ids = clip if clip is not None else _ids(block[columns.id], source)
            values = feature_values(block[columns.features], source)
            self._check_columns((own or {}).get("columns") or columns.features, values, source)
            rows = self._keep(values)
            rows["clip"] = ids
            self._note_source(rows["clip"].unique(), source)
            if columns.time is not None:
                times, _ = to_numbers(block[columns.time])
                rows["time_s"] = np.where(np.isfinite(times), times, np.inf)
            if has_share:
                rows["face_share"] = block["face_share"].to_numpy(np.float64)
            self._blocks.append(rows)
        return columns

    def _keep(self, given: NDArray[np.float64]) -> pd.DataFrame:
        """Write numbers to the spool, and return what is to be known of their rows."""
        with np.errstate(over="ignore"):
            values = given.astype(np.float32, order="C")
        values[np.isinf(values)] = np.nan
        self._spool.write(values.data)
        n_gaps = np.isnan(values).sum(axis=1)
        rows = pd.DataFrame({"n_values": values.shape[1] - n_gaps, "n_gaps": n_gaps})
        return rows.assign(time_s=np.nan, face_share=np.nan)

    def _note_source(self, clips: Iterable[str], source: Path) -> None:
        """Note the file of clips; the rows of a clip are all of one."""
        twice = [clip for clip in clips if self._source.setdefault(clip, source) != source]
        if twice:
            why = (
                f"features of the clip {twice[0]!r} come twice: in {self._source[twice[0]]} and "
                f"{source}; remove one"
            )
            raise RefusedError("clips whose features come twice", twice, why)

    def _check_columns(self, names: Sequence[Any], values: NDArray[Any], source: Path) -> None:
        width = values.shape[1]
        named = list(names) if len(names) == width and isinstance(names[0], str) else []
        if self._first is None:
            self._first, self._dimension, self.metadata["columns"] = source, width, named
        columns = self.metadata["columns"]
        if width != self._dimension or named != columns:
            odd = sorted(set(named) ^ set(columns))[:3]
            only = f" (only in one of them: {odd})" if odd else ""
            why = (
                f"{source} has {width} feature columns, {self._first} {self._dimension}{only}: "
                "expected the same, in one order"
            )
            raise RefusedError("files with other columns", [source], why)

    def _check_unique(self, source: Path, clips: "pd.Series[str]") -> None:
        """Make sure that rows without times are of one clip each."""
        repeated = clips[clips.duplicated()].unique()
        why = (
            f"{source} has ids more than once: {list(repeated[:3])}. Expected one row per clip, or "
            "a column of times (in an .npz an array `time_s` or `time_ms`)"
        )
        self._findings.add("ids more than once", "error", repeated, why)


def _no_rows() -> pd.DataFrame:
    return pd.DataFrame(columns=list(_ROW)).astype(_ROW)


def _ids(column: pd.Series, source: Path) -> NDArray[np.object_]:
    """Return a column of ids as text."""
    ids = column.astype(object).where(column.notna(), "").astype(str).str.strip()
    if (ids == "").any():
        why = f"{source} has rows without an id in {column.name!r}: fill it"
        raise RefusedError("tables with rows without an id", [source], why)
    return ids.to_numpy(object)
