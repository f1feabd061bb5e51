"""From what was asked for to what has to be fitted; every name is checked before anything runs."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from features.pool import PARTS, STATISTICS, Pooling
from pipeline.clip_table import Rows, read_rows
from pipeline.fits.jobs import Job, baseline_jobs, head_job
from pipeline.fits.pooled import find_view
from pipeline.params import HeadEntry, Params, ParamsError, load_params
from pipeline.paths import PARAMS
from pipeline.views import JOIN, view_names

Split = Literal["oof", "val"]


@dataclass(frozen=True)
class Request:
    """What to compare. None stands for all that `params.yaml` has.

    Attributes
    ----------
    encoders : sequence of str, optional
        Views: encoder names, alone or joined by ``+``. By default each encoder, and all joined.
    heads : sequence of str, optional
        Names under ``heads:``, or kinds of heads, which then have their default settings.
    targets : sequence of str, optional
        The targets that are fitted and scored.
    pooling : str, optional
        Statistics and parts, such as ``mean,std/whole,halves``; see `features.pool.Pooling`.
    split : {"oof", "val"}, optional
        The predictions that are scored: out of fold on Train, or on Val. By default Val, or out of
        fold where Val has no labels.
    by : str, optional
        A column of the clip table by whose values scores are given as well.
    learning_curve : bool
        Whether the best head and view is also fitted on fewer people.
    params : Path
        The parameters.
    """

    encoders: Sequence[str] | None = None
    heads: Sequence[str] | None = None
    targets: Sequence[str] | None = None
    pooling: str | None = None
    split: Split | None = None
    by: str | None = None
    learning_curve: bool = False
    params: Path = PARAMS


@dataclass(frozen=True)
class Plan:
    """What is fitted, and on which rows it is scored.

    Attributes
    ----------
    params : Params
        With the targets and encoders that were asked for; heads are unchecked.
    rows : Rows
        With these targets.
    split : {"oof", "val"}
        Which predictions are scored.
    scored : ndarray of bool, shape (n_clips,)
        The rows of that split.
    jobs : list of Job
        Baselines first, then view by view.
    by : str, optional
        The column by whose values scores are given as well.
    """

    params: Params
    rows: Rows
    split: Split
    scored: NDArray[np.bool_]
    jobs: list[Job]
    by: str | None


def make_plan(request: Request, cache: Path) -> Plan:
    """Check a request against the parameters and the data, and list the jobs.

    Parameters
    ----------
    request : Request
        What was asked for.
    cache : Path
        The folder of cached results.

    Raises
    ------
    ParamsError
        For a name that is not known; names the nearest and all known ones.
    StoreError
        When the clip vectors of an encoder are missing.
    """
    # Heads that were fitted before need no check; `check_heads` follows before others are.
    params = load_params(request.params, check_heads=False)
    views = _views(request.encoders, params.feature_names)
    used = {encoder for view in views for encoder in view.split(JOIN)}
    params = params.model_copy(
        update={
            "targets": _targets(request.targets, params.targets),
            "encoders": {name: spec for name, spec in params.encoders.items() if name in used},
            "stores": {name: entry for name, entry in params.stores.items() if name in used},
        }
    )
    heads = dict.fromkeys(params.heads if request.heads is None else request.heads)
    pooling = None if request.pooling is None else parse_pooling(request.pooling)
    rows = read_rows(params)
    split, scored = scored_rows(request.split, rows)
    if request.by is not None:
        known_names([request.by], list(map(str, rows.clips.columns)), "column")
    if request.learning_curve:
        scored_rows("val", rows)  # it is scored there
    jobs = baseline_jobs(params.evaluation.baselines, params.seed)
    for name in views:
        view = find_view(name, params, cache, pooling)
        for head in heads:
            settings = params.heads.get(head, HeadEntry(kind=head)).model_dump()
            jobs.append(head_job(head, settings, params.seed, view))
    return Plan(params, rows, split, scored, jobs, request.by)


def check_heads(request: Request, plan: Plan) -> None:
    """Check the names and settings of the heads, which takes the libraries they are made of.

    Raises
    ------
    ParamsError
        For an unknown head, kind or setting.
    """
    from models.heads import HEADS

    known_names(request.heads or (), list(dict.fromkeys([*plan.params.heads, *HEADS])), "head")
    load_params(request.params)


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
    statistics, parts = lists
    content = {
        "statistics": known_names(statistics, list(STATISTICS), "statistic"),
        "parts": known_names(parts, list(PARTS), "part"),
    }
    return Pooling.model_validate(content)


def known_names(asked: Sequence[str], known: Sequence[str], what: str) -> list[str]:
    """Return the names asked for, each once.

    Raises
    ------
    ParamsError
        For an unknown one; names the nearest and all known ones.
    """
    for name in asked:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise ParamsError(f"unknown {what} {name!r}{hint} Known: {', '.join(known)}")
    return list(dict.fromkeys(asked))


def known_view(asked: str, encoders: Sequence[str]) -> str:
    """Name a view as `view_names` does, whatever the order in which its encoders were given.

    Raises
    ------
    ParamsError
        For an unknown encoder; as `known_names`.
    """
    return JOIN.join(sorted(known_names(asked.split(JOIN), encoders, "encoder")))


def scored_rows(asked: Split | None, rows: Rows) -> tuple[Split, NDArray[np.bool_]]:
    """Return the split that is scored, by default Val where it is labelled, and its rows.

    Raises
    ------
    ParamsError
        When Val is asked for and has no labels.
    """
    val = (rows.clips["split"] == "Val").to_numpy(bool)
    has_labels = bool(np.isfinite(rows.y[val]).any())
    if asked == "val" and not has_labels:
        raise ParamsError("no clip of Val is labelled: only the split oof can be scored")
    split = asked or ("val" if has_labels else "oof")
    return split, val if split == "val" else np.arange(len(val)) < rows.n_train


def _views(asked: Sequence[str] | None, encoders: Sequence[str]) -> list[str]:
    if asked is None:
        return view_names(encoders)
    return list(dict.fromkeys(known_view(view, encoders) for view in asked))


def _targets(asked: Sequence[str] | None, targets: Sequence[str]) -> tuple[str, ...]:
    chosen = targets if asked is None else known_names(asked, targets, "target")
    return tuple(target for target in targets if target in chosen)  # in the parameters' order
