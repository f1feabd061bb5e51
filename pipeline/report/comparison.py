"""Two runs side by side: scores and what changed between them, as one self-contained page."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from pipeline.params import ParamsError
from pipeline.paths import LEADERBOARD, PARAMS, RUN
from pipeline.report import charts
from pipeline.report.charts import Kind, Mark
from pipeline.report.leaderboard import (
    BASELINE,
    SPLITS,
    STACK,
    HeatMap,
    heat_map,
    shown_splits,
)
from pipeline.report.numbers import interval, signed
from pipeline.report.pages import page_template
from pipeline.report.pairing import Pairs, pair_runs
from pipeline.tables import read_run_table

MISSING = "not there"
Changes = dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Comparison:
    """What two runs have in common and where they differ.

    Attributes
    ----------
    before, after : str
        Names of the revisions.
    split : str
        Whose scores are compared.
    rows : list of dict
        ``name``; ``before`` and ``after``, each with ``mean_pearson``, ``ci95_low``, ``ci95_high``,
        or None where a run lacks the row; sorted by the run after.
    pairs : Pairs
        The differences, on the clips of both.
    targets : list of str
        Those of both runs.
    by_target : dict of str to list of float
        By row of both: Pearson after less before.
    params, made_of : dict of str to (str, str)
        Settings, and encoders, versions and files, that differ.
    notes : list of str
        What could not be compared.
    """

    before: str
    after: str
    split: str
    rows: list[dict[str, Any]]
    pairs: Pairs
    targets: list[str]
    by_target: dict[str, list[float]]
    params: Changes
    made_of: Changes
    notes: list[str]


def compare_runs(before: str, after: str, folders: tuple[Path, Path]) -> Comparison:
    """Compare two runs.

    Parameters
    ----------
    before, after : str
        What they are called.
    folders : (Path, Path)
        Where their files are, laid out like the repository (`pipeline.report.revisions`).

    Raises
    ------
    ParamsError
        When no split is scored in both.
    """
    tables = [read_run_table(folder / LEADERBOARD) for folder in folders]
    shared = [split for split in shown_splits(tables[0]) if split in shown_splits(tables[1])]
    if not shared:
        raise ParamsError(f"{before} and {after} have scores of different splits only")
    split = shared[0]
    settings = [yaml.safe_load((f / PARAMS).read_text(encoding="utf-8")) for f in folders]
    records = [_record(folder) for folder in folders]
    names = zip((before, after), records, strict=True)
    notes = [f"{name} has no {RUN}: what it is made of is not known." for name, r in names if not r]
    pairs = pair_runs(*folders, split)
    ours, theirs = (
        [name.removeprefix(f"{split}_pearson_") for name in _target_columns(table, split)]
        for table in tables
    )
    targets = [target for target in theirs if target in ours]
    return Comparison(
        before=before,
        after=after,
        split=split,
        rows=_rows(tables, split),
        pairs=pairs,
        targets=targets,
        by_target=_by_target(tables, split, targets),
        params=changes(*settings),
        made_of=changes(*records) if all(records) else {},
        notes=[*notes, *([pairs.note] if pairs.note else [])],
    )


def changes(before: Any, after: Any) -> Changes:
    """Return what differs between two nested mappings, by dotted key; lists count as one value."""
    one, two = dict(_flat(before)), dict(_flat(after))
    keys = dict.fromkeys([*one, *two])
    found = {key: (one.get(key, MISSING), two.get(key, MISSING)) for key in keys}
    return {key: pair for key, pair in found.items() if pair[0] != pair[1]}


def render_comparison(comparison: Comparison) -> str:
    """Render a comparison as HTML that needs no network and no other file."""
    differences = comparison.pairs.differences
    marks = [
        Mark(name, each.gain, each.low, each.high, _kind(name))
        for name in (row["name"] for row in comparison.rows)
        if (each := differences.get(name)) is not None
    ]
    axis = f"mean Pearson, {comparison.after} less {comparison.before}"
    chart = charts.intervals("differences", "Differences", axis, marks) if marks else None
    return page_template("compare.html").render(
        c=comparison,
        split_name=SPLITS[comparison.split],
        differences=differences,
        chart=chart,
        by_target=_map(comparison),
    )


def comparison_text(comparison: Comparison) -> str:
    """Set the rows of both runs for a terminal."""
    lines = []
    for row in comparison.rows:
        one, two = (signed(row[key] and row[key]["mean_pearson"]) for key in ("before", "after"))
        each = comparison.pairs.differences.get(row["name"])
        ends = "" if each is None else f"{signed(each.gain)} {interval(each.low, each.high)}"
        lines.append((row["name"], one, two, ends))
    columns = ["head/view", comparison.before, comparison.after, "difference, 95 % CI"]
    return pd.DataFrame(lines, columns=columns).to_string(index=False)


def _record(folder: Path) -> dict[str, Any]:
    path = folder / RUN
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _rows(tables: list[pd.DataFrame], split: str) -> list[dict[str, Any]]:
    keys = ("mean_pearson", "ci95_low", "ci95_high")
    scores = []
    for table in tables:
        named = table.set_index("name")[[f"{split}_{key}" for key in keys]]
        scores.append(
            {str(name): dict(zip(keys, v, strict=True)) for name, *v in named.itertuples()}
        )
    one, two = scores
    return [{"name": n, "before": one.get(n), "after": two.get(n)} for n in {**two, **one}]


def _target_columns(table: pd.DataFrame, split: str) -> list[str]:
    """Return the columns of targets, which stand behind ``constant``."""
    names = [str(name) for name in table]
    behind = names[names.index("constant") + 1 :]
    return [name for name in behind if name.startswith(f"{split}_pearson_")]


def _by_target(
    tables: list[pd.DataFrame], split: str, targets: list[str]
) -> dict[str, list[float]]:
    columns = [f"{split}_pearson_{target}" for target in targets]
    one, two = (table.set_index("name")[columns].astype(float) for table in tables)
    both = [name for name in two.index if name in one.index]
    gains = two.loc[both] - one.loc[both]
    return {str(name): values for name, values in zip(both, gains.to_numpy().tolist(), strict=True)}


def _map(comparison: Comparison) -> HeatMap:
    values = pd.DataFrame(
        list(comparison.by_target.values()), columns=comparison.targets, dtype=float
    )
    return heat_map(comparison.by_target, values.to_numpy(), comparison.targets)


def _kind(name: str) -> Kind:
    return "main" if name == STACK else "soft" if name.startswith(BASELINE) else "plain"


def _flat(content: Any, key: str = "") -> list[tuple[str, str]]:
    if isinstance(content, Mapping) and content:
        return [
            pair
            for name, value in content.items()
            for pair in _flat(value, f"{key}.{name}" if key else str(name))
        ]
    return [(key, json.dumps(content, ensure_ascii=False, default=str))]
