"""The rows of all files, checked and counted as they pass; their numbers wait on disk."""

from collections.abc import Iterable, Iterator
from io import BufferedRandom
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.imports.features.blocks import Block
from pipeline.imports.features.columns import Columns, time_unit
from pipeline.imports.findings import Findings, RefusedError

_GAPS = "taken as gaps, which pooling leaves out column by column"


class ClipRows(NamedTuple):
    """The rows of one clip, in the order of time.

    Attributes
    ----------
    clip_id : str
        As the files have it.
    time_s : ndarray of float64, shape (n_rows,)
        Numbers of rows where the files have no times.
    values : ndarray of float32, shape (n_rows, n_columns)
        NaN where missing.
    face_share : float or None
        Share of the clip's frames with a face; None where the files do not say.
    """

    clip_id: str
    time_s: NDArray[np.float64]
    values: NDArray[np.float32]
    face_share: float | None


class Scan:
    """Takes rows, and gives them back clip by clip.

    Memory holds a clip and a time for each row, never the rows themselves.

    Parameters
    ----------
    findings : Findings
        What is noticed is added.
    spool : BufferedRandom, or None
        Keeps the numbers; without it nothing can be given back.

    Attributes
    ----------
    columns : tuple of str
        Names of the features; empty for arrays.
    dimension, n_clips, n_rows : int
        Columns, clips with a value, and their rows.
    taken_as : str
        What the columns that are no features were taken for.
    """

    def __init__(self, findings: Findings, spool: BufferedRandom | None) -> None:
        self.columns: tuple[str, ...] = ()
        self.dimension = self.n_clips = self.n_rows = 0
        self.taken_as = ""
        self._findings = findings
        self._spool = spool
        self._first = ""  # the file that says how many columns there are
        self._ids: dict[str, int] = {}  # numbers of clips
        self._source: list[str] = []  # by number of clip
        self._clips: list[NDArray[np.int32]] = []  # of each row, number of its clip
        self._times: list[NDArray[np.float64]] = []
        # By number of clip: values, missing ones, infinite ones.
        self._counts = np.zeros((0, 3), np.int64)
        self._low = self._high = np.empty(0, np.float32)
        self._forms: list[str] = []
        self._face_share: dict[int, float] = {}  # by number of clip
        self._levels: set[str] = set()

    def take(self, blocks: Iterable[Block]) -> None:
        """Take the rows of one file or folder; what cannot be used becomes a finding."""
        began = len(self._clips)
        table, columns, by_row = "", None, False
        for block in blocks:
            try:
                self._take(block)
            except RefusedError as error:
                self._findings.refuse(error)
                continue
            by_row |= block.ids is not None
            table, columns = block.source, columns or block.columns
        if columns is None:
            return
        clips = np.concatenate([np.empty(0, np.int32), *self._clips[began:]])
        times = np.concatenate([np.empty(0), *self._times[began:]])
        if by_row and columns.time is None:
            self._check_together(table, clips)
        unit = ""
        if columns.time is not None:
            order = np.argsort(clips, kind="stable")
            steps = np.diff(times[order])[np.diff(clips[order]) == 0]
            unit = time_unit(columns.time, steps[np.isfinite(steps)])
        self._clips[began:] = [clips]
        self._times[began:] = [times / 1000 if unit == "ms" else times]
        self.taken_as = self.taken_as or _note(columns, unit)

    def finish(self) -> None:
        """Bring the rows in order, and say what was noticed."""
        clips = np.concatenate([np.empty(0, np.int32), *self._clips])
        times = np.concatenate([np.empty(0), *self._times])
        self._clips, self._times = [], []
        # Rows without times keep the order of the file.
        by_clip = np.argsort(clips, kind="stable")
        back = np.zeros(len(clips), bool)
        back[1:] = (np.diff(clips[by_clip]) == 0) & (np.diff(times[by_clip]) < 0)
        unsorted = np.unique(clips[by_clip[back]])
        lost = np.unique(clips[np.isinf(times)])
        order = np.lexsort((times, clips)) if len(unsorted) else by_clip
        starts = np.searchsorted(clips[order], np.arange(len(self._ids) + 1))
        self._rows_of = {
            name: order[starts[number] : starts[number + 1]]
            for name, number in self._ids.items()
            if self._counts[number, 0]
        }
        self._time_s = times
        self.n_clips = len(self._rows_of)
        self.n_rows = sum(map(len, self._rows_of.values()))
        self._report(unsorted, lost)

    @property
    def clip_ids(self) -> list[str]:
        """The clips that have a value, as the files name them."""
        return list(self._rows_of)

    @property
    def level(self) -> str:
        """``clip`` when every clip has one row, else ``frame``; a store of ours says so itself."""
        if self._levels == {"frame"}:
            return "frame"
        return "clip" if all(len(rows) == 1 for rows in self._rows_of.values()) else "frame"

    @property
    def n_missing(self) -> int:
        """Number of values that are missing."""
        return int(self._counts[:, 1].sum())

    @property
    def n_infinite(self) -> int:
        """Number of values that are infinite, or larger than float32 holds."""
        return int(self._counts[:, 2].sum())

    def read(self, clip_ids: Iterable[str]) -> Iterator[ClipRows]:
        """Yield the rows of clips."""
        assert self._spool is not None  # only a dry run has none
        self._spool.flush()
        for clip_id in clip_ids:
            rows = self._rows_of[clip_id]
            time_s = self._time_s[rows]
            if np.isnan(time_s).any():
                time_s = np.arange(len(rows), dtype=np.float64)
            share = self._face_share.get(self._ids[clip_id])
            yield ClipRows(clip_id, time_s, self._read(rows), share)

    def _read(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        assert self._spool is not None
        values = np.empty((len(rows), self.dimension), np.float32)
        ends = np.flatnonzero(np.diff(rows) != 1) + 1  # rows that lie together are one read
        for first, end in zip(np.r_[0, ends], np.r_[ends, len(rows)], strict=True):
            self._spool.seek(int(rows[first]) * self.dimension * values.itemsize)
            self._spool.readinto(values[first:end].data)
        return values

    def _take(self, block: Block) -> None:
        self._check_columns(block)
        clips = self._number(block)
        with np.errstate(over="ignore"):
            values = block.values.astype(np.float32, order="C")
        missing, infinite = np.isnan(values), np.isinf(values)
        values[infinite] = np.nan
        n_new = len(self._ids) - len(self._counts)
        self._counts = np.pad(self._counts, ((0, n_new), (0, 0)))
        kinds = (~(missing | infinite), missing, infinite)
        np.add.at(self._counts, clips, np.stack([each.sum(axis=1) for each in kinds], axis=1))
        self._low = np.fmin(self._low, np.fmin.reduce(values, axis=0, initial=np.inf))
        self._high = np.fmax(self._high, np.fmax.reduce(values, axis=0, initial=-np.inf))
        times = np.full(len(values), np.nan) if block.times is None else block.times
        if block.times is not None and not np.isfinite(times).all():
            times = np.where(np.isfinite(times), times, np.inf)
        self._clips.append(clips)
        self._times.append(times)
        self._levels |= {block.level} if block.level else set()
        if block.face_share is not None:
            self._face_share |= dict(zip(clips.tolist(), block.face_share.tolist(), strict=True))
        if self._spool is not None:
            self._spool.write(values.data)

    def _check_columns(self, block: Block) -> None:
        width, names = block.values.shape[1], block.columns.features
        if not self._first:
            self._first, self.columns, self.dimension = block.source, names, width
            self._low = np.full(width, np.inf, np.float32)
            self._high = -self._low
        if width != self.dimension or names != self.columns:
            odd = sorted(set(names) ^ set(self.columns))[:3]
            raise RefusedError(
                "files with other columns",
                [block.source],
                f"{block.source} has {width} feature columns, {self._first} {self.dimension}"
                f"{f' (only in one of them: {odd})' if odd else ''}: expected the same, in one "
                "order",
            )
        form = f"{block.source}: {block.form}"
        if block.form and form not in self._forms[-1:]:
            self._forms.append(form)

    def _number(self, block: Block) -> NDArray[np.int32]:
        """Return the number of each row's clip; the rows of a clip are all of one file."""
        if block.ids is None:
            codes, names = np.zeros(len(block.values), np.int64), [str(block.clip_id)]
        else:
            codes, unique = pd.factorize(block.ids)
            names = [str(each) for each in unique]
        twice = [
            each
            for each in names
            if each in self._ids and self._source[self._ids[each]] != block.source
        ]
        if twice:
            other = self._source[self._ids[twice[0]]]
            raise RefusedError(
                "clips whose features come twice",
                twice,
                f"features of the clip {twice[0]!r} come twice: in {other} and {block.source}; "
                "remove one",
            )
        for name in names:
            if name not in self._ids:
                self._ids[name] = len(self._ids)
                self._source.append(block.source)
        numbers = np.array([self._ids[each] for each in names], np.int32)
        return numbers[codes]

    def _check_together(self, source: str, clips: NDArray[np.int32]) -> None:
        """Make sure of the order of rows without times: those of a clip lie together."""
        codes, found = pd.factorize(clips)
        n_rows = np.bincount(codes, minlength=len(found))
        scattered = np.count_nonzero(np.diff(codes)) >= len(found)
        repeated = found[n_rows > 1]
        if len(repeated) and (scattered or (n_rows == 1).mean() > 0.5):
            names = list(self._ids)
            shown = [names[number] for number in repeated]
            self._findings.refuse(
                RefusedError(
                    "ids more than once",
                    shown,
                    f"{source} has ids more than once: {shown[:3]}. Expected one row per clip, "
                    "or a time column, or the rows of each clip together",
                )
            )

    def _report(self, unsorted: NDArray[np.int32], lost: NDArray[np.int32]) -> None:
        add, names = self._findings.add, list(self._ids)
        add("features written otherwise than UTF-8 with commas", "note", self._forms, "read so")
        gone = [names[number] for number in lost]
        add("clips with rows without a time", "error", gone, "fill the times, or remove the rows")
        missing, infinite = (
            [names[n] for n in np.flatnonzero(each)] for each in self._counts.T[1:]
        )
        add("clips with missing values", "note", missing, f"{self.n_missing} values: {_GAPS}")
        done = f"{self.n_infinite} values, those beyond float32 among them: {_GAPS}"
        add("clips with infinite values", "warning", infinite, done)
        empty = [name for name, number in self._ids.items() if not self._counts[number, 0]]
        add("clips without any value", "warning", empty, "left out")
        moved = [names[number] for number in unsorted]
        add("clips whose rows were not in the order of time", "note", moved, "sorted")
        if self.n_rows > 1:
            shown = self.columns or tuple(map(str, range(self.dimension)))
            varies = self._high > self._low
            flat = [name for name, each in zip(shown, varies, strict=True) if not each]
            add("columns that never vary", "warning", flat, "kept; they tell heads nothing")


def _note(columns: Columns, unit: str) -> str:
    time = f"{columns.time!r} in {unit}" if columns.time else "none, rows are counted"
    left_out = f"; left out: {list(columns.left_out)}" if columns.left_out else ""
    return f"id: {columns.id or 'the file name'}; time: {time}{left_out}"
