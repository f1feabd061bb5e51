"""Features that others computed, read and checked block by block; the numbers wait on disk."""

import hashlib
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
from pipeline.findings import Findings, RefusedError, Severity
from pipeline.imports.columns import (
    guess_feature_columns,
    plain_name,
    role_of,
    to_numbers,
    to_times,
)
from pipeline.reading import ENDINGS, Table, ending_of, open_table

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
    """

    def __init__(self, paths: Sequence[Path], ids: Path | None, findings: Findings) -> None:
        self.metadata: dict[str, Any] = {"columns": [], "level": "clip"}
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
        twice = files["clip"] + ": " + files["source"]
        done = "a clip's rows are to be in one file: remove the other"
        twice = twice[files["clip"].duplicated(keep=False)]
        findings.add("clips whose features come twice", "error", twice, done)
        several: Severity = "error" if self._has_flags else "warning"
        rows = _of_one_face(rows, rows["n_gaps"] < self._dimension, several, findings)
        gone = rows.loc[rows["time_s"] == np.inf, "clip"].unique()
        done = "fill them, such as 62.5 (seconds) or 00:01:02.5, or remove the rows"
        findings.add("clips with rows without a time", "error", gone, done)
        unmeasured = rows[~rows["is_measured"]]
        done = f"{len(unmeasured)} rows are left out: their flag is below 0.5"
        findings.add("clips with rows not measured", "note", unmeasured["clip"].unique(), done)
        # Rows without times keep the order of the file.
        self._rows = rows[rows["is_measured"]].sort_values("time_s", kind="stable")
        n_gaps = self._rows.groupby("clip", sort=False)["n_gaps"].agg(["sum", "min"])
        done = f"{n_gaps['sum'].sum()} values are gaps, which pooling leaves out column by column"
        gappy = n_gaps.index[n_gaps["sum"] > 0]
        findings.add("clips with empty or infinite values", "warning", gappy, done)
        full = n_gaps.index[n_gaps["min"] < self._dimension]
        self.id_of = {str(clip): str(clip) for clip in full}
        empty = [clip for clip in self._clips if clip not in self.id_of]
        findings.add("clips without any value", "warning", empty, "left out")
        if not self.id_of and not findings.have_errors:
            findings.add("features without any value", "error", paths, "no clip has a value")
        self._places = self._rows.groupby("clip").indices
        self._n_rows = [len(self._places[clip]) for clip in self.id_of]
        if max(self._n_rows, default=1) > 1:
            self.metadata["level"] = "frame"

    def summary(self) -> dict[str, Any]:
        """Return what was found, for `json.dumps`."""
        numbers = {"n_files": self._n_files, "n_clips": len(self.id_of)}
        numbers |= {"n_rows": sum(self._n_rows), "dimension": self._dimension}
        return numbers | self.metadata

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
        columns, blocks = None, [pd.DataFrame(columns=list(_ROW)).astype(_ROW)]
        with clip_progress(path.name, len(files), shown=len(files) > 1) as advance:
            for file in files:
                of_one_clip = path.is_dir() and not file.match("part-*.parquet")
                clip = file.name[: -len(ending_of(file))] if of_one_clip else None
                source = file if of_one_clip else path
                try:
                    table = open_table(file, self._ids, of_one_clip=of_one_clip)
                    columns = self._columns(table, source, clip)
                    blocks += self._blocks(table, columns, source, clip)
                    self._n_files += 1
                except RefusedError as error:
                    self._findings.refuse(error)
                advance(1)
        rows = pd.concat(blocks, ignore_index=True)
        if columns is None:
            return rows
        time = "none, rows are counted"
        if columns["time"] is not None:
            times = rows["time_s"].where(np.isfinite(rows["time_s"])).groupby(rows["clip"])
            steps = times.diff().dropna().to_numpy()
            given = ("s", 1.0) if columns.get("has_seconds") else None
            unit, seconds = given or _time_unit(columns["time"], steps[steps != 0])
            # Frames are counted from 0, and times since 1970 or the start of a session too.
            of_clip = unit == "frames" or bool(times.min().median() * seconds > _MAX_START_S)
            first = times.transform("min") if of_clip else 0.0
            rows["time_s"] = (rows["time_s"] - first) * seconds
            time = f"{columns['time']!r} in {unit}" + ", from each clip's first" * of_clip
        elif not path.is_dir():
            repeated = rows.loc[rows["clip"].duplicated(), "clip"].unique()
            done = (
                f"{path}: expected one row per clip, or a column of times (in an .npz an array "
                "`time_s` or `time_ms`)"
            )
            self._findings.add("ids more than once", "error", repeated, done)
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
        done = f"left out: in {folder} those that end in {chosen!r} are read"
        self._findings.add("other files", "warning", others, done)
        return [each for each in files if ending_of(each) == chosen]

    def _columns(self, table: Table, source: Path, clip: str | None) -> dict[str, Any]:
        """Tell what the columns are of a table, which is of one clip where that is given."""
        own = table.metadata  # of a feature store of ours
        names = [n for n in table.columns if own is None or n not in ("face_share", "face_score")]
        columns = guess_feature_columns(names, source)
        self._has_flags |= bool(columns["flags"])
        if own is not None:
            self.metadata["origin"] = own
            if columns["time"] is not None and not is_clip_level(own):
                self.metadata["level"] = "frame"
        if clip is not None:
            self._clips[clip] = None  # also of one without rows
        elif columns["id"] is None:
            why = (
                f"{source} has no id column among its first ones {names[:3]}: expected one such as "
                "clip_id, name or File_ID. Files of one clip each are given as their folder"
            )
            raise RefusedError("tables without ids", [source], why)
        return columns

    def _blocks(
        self, table: Table, columns: dict[str, Any], source: Path, clip: str | None
    ) -> Iterator[pd.DataFrame]:
        """Write the numbers to the spool, and yield what is to be known of their rows."""
        names = (table.metadata or {}).get("columns") or columns["features"]
        for block in table.blocks:
            with np.errstate(over="ignore"):
                values = _to_values(block[columns["features"]], source).astype("f4", order="C")
            measured = _is_measured(block[columns["flags"]])
            values[np.isinf(values) | ~measured[:, None]] = np.nan
            self._check_columns(names, values.shape[1], source)
            rows = pd.DataFrame({"n_gaps": np.isnan(values).sum(axis=1), "is_measured": measured})
            rows["clip"] = clip if clip is not None else _ids(block[columns["id"]])
            if (rows["clip"] == "").any():
                why = f"{source} has rows without an id in {columns['id']!r}: fill it"
                raise RefusedError("tables with rows without an id", [source], why)
            self._clips |= dict.fromkeys(rows["clip"])
            rows["source"] = str(source)
            rows["face"] = "" if columns["face"] is None else _ids(block[columns["face"]])
            rows["time_s"] = np.nan
            if columns["time"] is not None:
                times, columns["has_seconds"] = to_times(block[columns["time"]])
                rows["time_s"] = np.where(np.isfinite(times), times, np.inf)
            has_share = table.metadata is not None and "face_share" in block
            rows["face_share"] = block["face_share"].to_numpy() if has_share else np.nan
            self._spool.write(values.data)
            yield rows

    def _check_columns(self, names: Sequence[Any], width: int, source: Path) -> None:
        """Make sure that all files have the same columns."""
        named = list(names) if len(names) == width and isinstance(names[0], str) else []
        if self._first is None:
            self._first, self._dimension, self.metadata["columns"] = source, width, named
        columns = self.metadata["columns"]
        if (width, named) != (self._dimension, columns):
            why = (
                f"{source} has {width} feature columns, {self._first} {self._dimension}: expected "
                f"the same, in one order; only in one are {sorted({*named} ^ {*columns})[:3]}"
            )
            raise RefusedError("files with other columns", [source], why)


def _of_one_face(
    rows: pd.DataFrame, has_values: "pd.Series[bool]", severity: Severity, findings: Findings
) -> pd.DataFrame:
    """Keep of each clip the rows of the face that was measured most often.

    `severity` is that of several rows at one time where no column names the face.
    """
    n_rows = rows[has_values].groupby(["clip", "face"], sort=False).size()
    n_faces = n_rows.groupby("clip", sort=False).size()
    several = n_faces[n_faces > 1]
    done = "the face with the most measured rows is kept; for another, leave its rows only"
    shown = [f"{clip}: {n}" for clip, n in several.items()]
    findings.add("clips with several faces", "warning", shown, done)
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
    table = open_table(path)
    name = next((n for n in table.columns if role_of(n) == "id"), table.columns[0])
    first = [] if role_of(name) == "id" else [name]
    return [*first, *(str(cell).strip() for block in table.blocks for cell in block[name])]


def _is_measured(flags: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether each row was measured, by its flags: at least 0.5 (of 100: 50), or true."""
    measured = np.full(len(flags), True)
    for name in flags:
        text = flags[name].astype("string").str.strip().str.lower()
        values, _ = to_numbers(text.replace({"true": "1", "yes": "1", "false": "0", "no": "0"}))
        top = 100 if np.nanmax(values, initial=0) > 1 else 1
        measured &= values >= _LEAST_CONFIDENCE * top
    return measured


def _time_unit(name: str, steps: NDArray[np.float64]) -> tuple[str, float]:
    """Tell the unit of times, and its seconds, by the column's name or by the steps' length."""
    plain, step = plain_name(name), float(np.median(np.abs(steps))) if len(steps) else 0.0
    endings = {"ms": ("_ms", "milliseconds"), "s": ("_s", "seconds")}
    unit = next((unit for unit, ending in endings.items() if plain.endswith(ending)), None)
    if unit is None:
        unit = next((u for u in ("s", "ms") if step * _SECONDS[u] <= _MAX_STEP_S), "us")
    unit = "frames" if role_of(name) == "frame" else unit
    return unit, _SECONDS[unit]


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
        why = (
            f"{source} has text in the column {block.columns[column]!r}, such as "
            f"{str(block.iloc[row, column])!r}: expected numbers; remove the column"
        )
        raise RefusedError("files with text among the numbers", [source], why)
    return values
