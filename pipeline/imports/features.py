"""Features that others computed, read and checked block by block; the numbers wait on disk."""

import hashlib
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.cache import Embedding
from features.extraction.index import clip_progress
from features.pool import is_clip_level
from features.store import StoredClip
from pipeline.clip_ids import plain_text
from pipeline.dialects import to_numbers, to_times
from pipeline.findings import Findings, RefusedError, Severity
from pipeline.imports.columns import guess_feature_columns, plain_name, role_of
from pipeline.reading import ENDINGS, ending_of, load_table

# What is kept of each row of a file.
_ROW = {"clip": "str", "source": "str", "time_s": "float64", "face_share": "float64", "face": "str"}
_ROW |= {"n_gaps": "int64", "is_measured": "bool"}
_LEAST_CONFIDENCE = 0.5
_MAX_START_S = 86_400.0
_MAX_STEP_S = 5.0
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "frames": 1.0}


class Features:
    """Features from several files; what is odd or cannot be used is a finding.

    Parameters
    ----------
    paths : sequence of Path
        Folders of one table or array per clip; feature stores, or shards of them; tables with an
        id column; npy or npz files.
    ids : Path or None
        The ids of the rows of an array: text, one in each line, or a table with a column of ids.
    findings : Findings
        What is noticed is added.

    Attributes
    ----------
    id_of : dict of str to str
        By clip that has a value, as the files name it: its id in the store, at first the same.
    metadata : dict
        For the store: ``columns`` (their names; none of arrays), ``level`` (``clip`` when every
        clip has one row that stands for all of it, else ``frame``), ``taken_as`` (what the other
        columns were taken for) and ``origin`` (what a feature store of ours said of itself).
    summary : dict
        What was found, for `json.dumps`.
    """

    def __init__(self, paths: Sequence[Path], ids: Path | None, findings: Findings) -> None:
        self.metadata: dict[str, Any] = {"columns": [], "level": "clip"}
        self.summary: dict[str, Any]
        self._findings = findings
        self._ids = None if ids is None else _read_ids(ids)
        # Beside the project: /tmp may be memory.
        self._spool = tempfile.TemporaryFile(dir=".")  # noqa: SIM115
        self._first: Path | None = None  # the file that says which columns there are
        self._dimension = self._n_files = 0
        self._has_flags = False
        self._clips: dict[str, None] = {}  # in their order
        rows = pd.concat([self._read(path) for path in paths], ignore_index=True)
        files = rows.drop_duplicates(["clip", "source"])
        twice = (files["clip"] + ": " + files["source"])[files["clip"].duplicated(keep=False)]
        findings.error("clips whose features come twice", twice, "keep one file for each clip")
        several: Severity = "error" if self._has_flags else "warning"
        rows = _of_one_face(rows, rows["n_gaps"] < self._dimension, several, findings)
        gone = rows.loc[rows["time_s"] == np.inf, "clip"].unique()
        findings.error("clips with rows without a time", gone, "fill them, or remove the rows")
        unmeasured = rows.loc[~rows["is_measured"], "clip"].unique()
        findings.note("clips with rows not measured", unmeasured, "left out: flags below 0.5")
        # Rows without times keep the order of the file.
        self._rows = rows[rows["is_measured"]].sort_values("time_s", kind="stable")
        n_gaps = self._rows.groupby("clip", sort=False)["n_gaps"].agg(["sum", "min"])
        done = f"{n_gaps['sum'].sum()} values are gaps, which pooling leaves out column by column"
        gappy = n_gaps.index[n_gaps["sum"] > 0]
        findings.warn("clips with empty or infinite values", gappy, done)
        full = n_gaps.index[n_gaps["min"] < self._dimension]
        self.id_of = {str(clip): str(clip) for clip in full}
        empty = [clip for clip in self._clips if clip not in self.id_of]
        findings.warn("clips without any value", empty, "left out")
        if not self.id_of and not findings.have_errors:
            findings.error("features without any value", paths, "no clip has a value")
        self._places = self._rows.groupby("clip").indices
        n_rows = [len(self._places[clip]) for clip in self.id_of]
        if max(n_rows, default=1) > 1:
            self.metadata["level"] = "frame"
        self.summary = {"n_files": self._n_files, "n_clips": len(n_rows), "n_rows": sum(n_rows)}
        self.summary |= {"dimension": self._dimension, **self.metadata}

    def clips(self) -> Iterator[StoredClip]:
        """Yield the clips in the order of their ids, their rows in the order of time."""
        self._spool.flush()
        matrix = np.memmap(self._spool, np.float32, "r").reshape(-1, self._dimension)
        for clip, clip_id in sorted(self.id_of.items(), key=lambda each: each[1]):
            rows = self._rows.iloc[self._places[clip]]
            time_s, share = rows["time_s"].to_numpy(np.float64), float(rows["face_share"].iloc[0])
            if np.isnan(time_s).any():
                time_s = np.arange(len(rows), dtype=np.float64)
            values = np.array(matrix[rows.index])
            digest = hashlib.sha256(time_s.tobytes() + values.tobytes()).hexdigest()
            embedding = Embedding(time_s, values, None if np.isnan(share) else share)
            yield StoredClip(clip_id, digest, embedding)

    def _read(self, path: Path) -> pd.DataFrame:
        """Read a folder or a file; return what is to be known of each row."""
        files = self._files_of(path) if path.is_dir() else [path]
        columns: dict[str, Any] = {}
        parts = [pd.DataFrame(columns=list(_ROW)).astype(_ROW)]
        with clip_progress(path.name, len(files), shown=len(files) > 1) as advance:
            for file in files:
                is_clip = path.is_dir() and not file.match("part-*.parquet")
                try:
                    columns, rows = self._read_file(file, is_clip)
                    parts.append(rows.assign(source=str(file if is_clip else path)))
                    self._n_files += 1
                except RefusedError as error:
                    self._findings.refuse(error)
                advance(1)
        rows = pd.concat(parts, ignore_index=True)
        if not columns:
            return rows
        time = "none, rows are counted"
        if columns["time"] is not None:
            times = rows["time_s"].where(np.isfinite(rows["time_s"])).groupby(rows["clip"])
            steps = times.diff().dropna().to_numpy()
            unit = columns.get("unit") or _time_unit(columns["time"], steps[steps != 0])
            # Frames are counted from 0, and times since 1970 or the start of a session too.
            starts_late = times.min().median() * _SECONDS[unit] > _MAX_START_S
            of_clip = unit == "frames" or bool(starts_late)
            first = times.transform("min") if of_clip else 0.0
            rows["time_s"] = (rows["time_s"] - first) * _SECONDS[unit]
            time = f"{columns['time']!r} in {unit}" + ", from each clip's first" * of_clip
        elif not path.is_dir():
            repeated = rows.loc[rows["clip"].duplicated(), "clip"].unique()
            done = (
                f"{path}: expected one row per clip, or times in a column or array such as `time_s`"
            )
            self._findings.error("ids more than once", repeated, done)
        left_out = f"; left out: {columns['left_out']}" if columns["left_out"] else ""
        left_out += f"; not measured where small: {columns['flags']}" if columns["flags"] else ""
        taken_as = f"id: {columns['id'] or 'the file name'}; time: {time}{left_out}"
        self.metadata.setdefault("taken_as", taken_as)
        return rows

    def _files_of(self, folder: Path) -> list[Path]:
        """List the shards of a store; else the tables or arrays of the ending that most have."""
        if shards := sorted(folder.glob("part-*.parquet")):
            return shards
        files = [each for each in sorted(folder.rglob("[!.]*")) if each.is_file()]
        if not files:
            why = f"{folder} is empty: expected a table or an array per clip, or a store"
            raise RefusedError("folders without features", [folder], why)
        counts = Counter(map(ending_of, files))
        chosen = max(counts, key=lambda ending: (ending in ENDINGS, counts[ending]))
        others = [each for each in files if ending_of(each) != chosen]
        self._findings.warn("other files", others, f"left out: those in {chosen} are read")
        return [each for each in files if ending_of(each) == chosen]

    def _read_file(self, file: Path, is_clip: bool) -> tuple[dict[str, Any], pd.DataFrame]:
        """Write numbers to the spool; return the columns, and what is to be known of the rows."""
        table = load_table(file, self._ids, of_one_clip=is_clip)
        own = table.metadata
        ours = () if own is None else ("face_share", "face_score")
        names = [name for name in table.columns if name not in ours]
        columns = guess_feature_columns(names, file)
        self._has_flags |= bool(columns["flags"])
        if own is not None:
            self.metadata["origin"] = own
            if columns["time"] is not None and not is_clip_level(own):
                self.metadata["level"] = "frame"
        if columns["id"] is None and not is_clip:
            why = (
                f"{file} has no id column, such as clip_id; of files of a clip each give the folder"
            )
            raise RefusedError("tables without ids", [file], why)
        blocks = [self._write(block, columns, file, is_clip, own) for block in table.blocks]
        return columns, pd.concat(blocks, ignore_index=True)

    def _write(
        self,
        given: pd.DataFrame,
        columns: dict[str, Any],
        file: Path,
        is_clip: bool,
        own: dict[str, Any] | None,
    ) -> pd.DataFrame:
        """Write the numbers of a block to the spool; return what is to be known of its rows."""
        clip = file.name[: -len(ending_of(file))]
        clips = pd.Series(clip, given.index) if is_clip else _ids(given[columns["id"]])
        if (clips == "").any():
            why = f"{file} has rows without an id in {columns['id']!r}: fill it"
            raise RefusedError("tables with rows without an id", [file], why)
        with np.errstate(over="ignore"):
            values = _to_values(given[columns["features"]], file).astype("f4", order="C")
        measured = _is_measured(given[columns["flags"]])
        values[np.isinf(values) | ~measured[:, None]] = np.nan
        names, width = (own or {}).get("columns") or columns["features"], values.shape[1]
        named = list(names) if len(names) == width and isinstance(names[0], str) else []
        if self._first is None and len(values):
            self._first, self._dimension, self.metadata["columns"] = file, width, named
        if len(values) and (width, named) != (self._dimension, self.metadata["columns"]):
            has = f"{file} has {width} feature columns, {self._first} {self._dimension}"
            why = f"{has}: expected the same, in one order"
            raise RefusedError("files with other columns", [file], why)
        self._clips |= dict.fromkeys([clip] if is_clip else clips)  # also one without rows
        rows = pd.DataFrame({"clip": clips, "is_measured": measured})
        rows["n_gaps"] = np.isnan(values).sum(axis=1)
        rows["face"] = "" if columns["face"] is None else _ids(given[columns["face"]])
        rows["time_s"] = np.nan
        if columns["time"] is not None:
            times, is_clock = to_times(given[columns["time"]])
            columns["unit"] = "s" if is_clock else columns.get("unit")
            rows["time_s"] = np.where(np.isfinite(times), times, np.inf)
        has_share = own is not None and "face_share" in given
        rows["face_share"] = given["face_share"] if has_share else np.nan
        self._spool.write(values.data)
        return rows


def _of_one_face(
    rows: pd.DataFrame, has_values: "pd.Series[bool]", severity: Severity, findings: Findings
) -> pd.DataFrame:
    """Keep of each clip the rows of the face that was measured most often.

    `severity` is that of several rows at one time where no column names the face.
    """
    n_rows = rows[has_values].groupby(["clip", "face"], sort=False).size()
    n_faces = n_rows.groupby("clip", sort=False).size()
    several = n_faces[n_faces > 1]
    shown = [f"{clip}: {n}" for clip, n in several.items()]
    findings.warn("clips with several faces", shown, "the one with the most rows is kept")
    chosen = rows["clip"].map({clip: n_rows[clip].idxmax() for clip in several.index}.get)
    rows = rows[chosen.isna() | (chosen == rows["face"])]
    timed = rows[rows["time_s"].notna() & has_values[rows.index]]
    twice = timed.loc[timed.duplicated(["clip", "time_s"]), "clip"].unique()
    done = "of several people? Keep the rows of one, or name the faces in a column `face_id`"
    findings.add("clips with several rows at one time", severity, twice, done)
    return rows


def _ids(column: pd.Series) -> "pd.Series[str]":
    """Return a column as text, empty where nothing is."""
    return column.astype(object).where(column.notna(), "").astype(str).map(plain_text)


def _read_ids(path: Path) -> list[str]:
    """Read the column of ids of a table; or the lines of a text, where the first one is an id."""
    table = load_table(path).rows()
    name = next((n for n in table if role_of(n) == "id"), table.columns[0])
    first = [] if role_of(name) == "id" else [str(name)]
    return [*first, *table[name].astype(str).str.strip()]


def _is_measured(flags: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether each row was measured, by its flags: at least 0.5 (of 100: 50), or true."""
    measured = np.full(len(flags), True)
    for name in flags:
        text = flags[name].astype("string").str.strip().str.lower()
        values, _ = to_numbers(text.replace({"true": "1", "yes": "1", "false": "0", "no": "0"}))
        top = 100 if np.nanmax(values, initial=0) > 1 else 1
        measured &= values >= _LEAST_CONFIDENCE * top
    return measured


def _time_unit(name: str, steps: NDArray[np.float64]) -> str:
    """Tell the unit of times by the column's name or by the steps' length."""
    if role_of(name) == "frame":
        return "frames"
    if named := re.search("_(ms|milliseconds|s|seconds)$", plain_name(name)):
        return "ms" if named[1].startswith("m") else "s"
    step = float(np.median(np.abs(steps))) if len(steps) else 0.0
    return next((unit for unit in ("s", "ms") if step * _SECONDS[unit] <= _MAX_STEP_S), "us")


def _to_values(block: pd.DataFrame, source: Path) -> NDArray[np.float64]:
    """Read a block of features as (n_rows, n_columns); NaN where empty."""
    first: Any = block.iloc[0, 0] if len(block) else None
    if block.shape[1] == 1 and isinstance(first, np.ndarray):
        lists = list(block.iloc[:, 0])
        lengths = sorted({0 if each is None else len(each) for each in lists})
        if len(lengths) > 1:
            why = f"{source} has lists of the lengths {lengths[:3]}: expected one length"
            raise RefusedError("lists of several lengths", [source], why)
        return np.stack(lists).astype(np.float64)
    if all(kind.kind in "bfiu" for kind in block.dtypes):
        return block.to_numpy(np.float64, na_value=np.nan)
    cells = block.to_numpy(object)
    values, wrong = to_numbers(cells.ravel())
    values, wrong = values.reshape(block.shape), wrong.reshape(block.shape)
    # One table may have columns with decimal commas, with points and with thousands.
    if wrong.any() or any("," in str(cell) for cell in cells[np.abs(values) >= 1000]):
        for place, of_column in enumerate(cells.T):
            values[:, place], wrong[:, place] = to_numbers(of_column)
    if wrong.any():
        row, column = divmod(int(np.argmax(wrong)), block.shape[1])
        what = f"text in the column {block.columns[column]!r}, such as {str(cells[row, column])!r}"
        why = f"{source} has {what}: expected numbers; remove the column"
        raise RefusedError("files with text among the numbers", [source], why)
    return values
