"""What a comparison is asked for: every name checked, and what has to be fitted for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from features.pool import PARTS, STATISTICS, Pooling
from pipeline.clip_table import Rows, read_rows
from pipeline.fit import FitTask, baseline_tasks, head_task
from pipeline.leaderboard import rows_of_splits
from pipeline.params import Params, ParamsError, head_faults, load_params
from pipeline.paths import PARAMS
from pipeline.settings_files import nearest, refuse
from pipeline.views import JOIN, view_names

Split = Literal["oof", "val"]


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Attributes
    ----------
    params : Params
        With the targets and encoders that take part.
    rows : Rows
        With these targets.
    split : {"val", "oof"}
        The predictions that are scored.
    tasks : list of FitTask
        Baselines first, then view by view.
    by : str, optional
        A column of the clip table by whose values scores are given as well.
    learning_curve : bool
        Whether the best head is also fitted on fewer people.
    """

    params: Params
    rows: Rows
    split: Split
    tasks: list[FitTask]
    by: str | None = None
    learning_curve: bool = False


def plan_comparison(
    params_file: Path,
    encoders: Sequence[str] | None = None,
    heads: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    pooling: str | None = None,
    split: Split | None = None,
    by: str | None = None,
    learning_curve: bool = False,
) -> Plan:
    """Check every name that was asked for, and list what has to be fitted.

    Parameters
    ----------
    params_file : Path
        The parameters.
    encoders, heads, targets, pooling, split
        As in `pipeline.compare.compare`.
    by, learning_curve
        As in `Plan`.

    Raises
    ------
    ParamsError
        For a name that is not known; names the nearest and all known ones.
    StoreError
        When the clip vectors of an encoder are missing.
    """
    params = load_params(params_file, check_heads=False)
    views = view_names(params.feature_names)
    if encoders is not None:
        views = list(dict.fromkeys(known_view(view, params) for view in encoders))
    used = {name for view in views for name in view.split(JOIN)}
    chosen = known_names(targets or params.targets, params.targets, "target")
    params = params.model_copy(
        update={
            "targets": tuple(target for target in params.targets if target in chosen),
            "encoders": {name: spec for name, spec in params.encoders.items() if name in used},
            "stores": {name: store for name, store in params.stores.items() if name in used},
        }
    )
    pooled = None if pooling is None else parse_pooling(pooling)
    rows = read_rows(params)
    if by is not None:
        known_names([by], list(map(str, rows.clips.columns)), "column")
    if learning_curve:
        scored_split("val", rows)  # it is scored there
    asked = list(dict.fromkeys(params.heads if heads is None else heads))
    tasks = baseline_tasks(params)
    tasks += [head_task(head, view, params, pooled) for view in views for head in asked]
    return Plan(params, rows, scored_split(split, rows), tasks, by, learning_curve)


def check_heads(plan: Plan) -> None:
    """Check kinds and settings of heads, which loads the libraries that they are made of.

    Raises
    ------
    ParamsError
        For an unknown head or setting; names the nearest known one.
    """
    from models.heads import HEADS

    heads = {task.name.partition("/")[0]: task.head for task in plan.tasks}
    for name, entry in heads.items():
        if entry.kind not in HEADS:
            known = list(dict.fromkeys([*plan.params.heads, *HEADS]))
            raise ParamsError(f"unknown head {name!r}{nearest(name, known)}")
    refuse(PARAMS, head_faults({name: entry.model_dump() for name, entry in heads.items()}))


def known_names(asked: Sequence[str], known: Sequence[str], what: str) -> list[str]:
    """Return the names asked for, each once.

    Raises
    ------
    ParamsError
        For an unknown one; names the nearest and all known ones.
    """
    for name in asked:
        if name not in known:
            raise ParamsError(f"unknown {what} {name!r}{nearest(name, known)}")
    return list(dict.fromkeys(asked))


def known_view(asked: str, params: Params) -> str:
    """Name a view as `view_names` does, whatever the order in which its encoders were given.

    Raises
    ------
    ParamsError
        For an unknown encoder; as `known_names`.
    """
    return JOIN.join(sorted(known_names(asked.split(JOIN), params.feature_names, "encoder")))


def parse_pooling(text: str) -> Pooling:
    """Read ``statistics/parts``, names joined by commas.

    Raises
    ------
    ParamsError
        When a name is unknown or there is not one slash.
    """
    lists = [part.split(",") for part in text.split("/")]
    if len(lists) != 2:
        raise ParamsError(
            f"the pooling {text!r} is not of the form statistics/parts: expected, for example, "
            "'mean,std/whole,halves'"
        )
    statistics = known_names(lists[0], list(STATISTICS), "statistic")
    parts = known_names(lists[1], list(PARTS), "part")
    return Pooling.model_validate({"statistics": statistics, "parts": parts})


def scored_split(asked: Split | None, rows: Rows) -> Split:
    """Return the split that is scored: by default Val, or out of fold where it has no labels.

    Raises
    ------
    ParamsError
        When Val is asked for and has no labels.
    """
    has_labels = "val" in rows_of_splits(rows)
    if asked == "val" and not has_labels:
        raise ParamsError("no clip of Val is labelled: only the split oof can be scored")
    return asked or ("val" if has_labels else "oof")
