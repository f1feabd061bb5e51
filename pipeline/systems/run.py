"""Fit and score the systems, as rows of a comparison, and stack them all."""

from collections.abc import Iterator
from pathlib import Path

from models.evaluation.scores import Difference, Subset, gains
from pipeline.clip_table import read_rows
from pipeline.compare.board import Board
from pipeline.compare.plan import Plan, Request, Split, scored_rows
from pipeline.compare.run import run_plan
from pipeline.fits.jobs import Job, baseline_jobs, head_job
from pipeline.fits.pooled import find_view
from pipeline.fits.result_cache import default_result_folder
from pipeline.params import Params
from pipeline.paths import FEATURES, PARAMS, SYSTEM_FEATURES
from pipeline.systems.settings import System, Systems


def run_systems(
    systems: Systems, split: Split | None = None, params_file: Path = PARAMS
) -> Iterator[Board]:
    """Fit all systems, two baselines and the stack of all systems; yield as `compare.run.run`.

    Systems of the same head and view are one row of the board. What `dvc repro` or `eri compare`
    fitted is not fitted again.

    Parameters
    ----------
    systems : Systems
        From `load_systems`.
    split : {"oof", "val"}, optional
        The predictions that are scored; by default Val, or out of fold where Val has no labels.
    params_file : Path
        Where the settings of heads are checked.

    Raises
    ------
    ParamsError
        For an unknown head, or wrong settings.
    StoreError
        When an encoder's features are missing.
    """
    params = systems.params
    rows = read_rows(params)
    used = {encoder for system in systems.all.values() for encoder in system.encoders}
    shown = {name: spec for name, spec in params.encoders.items() if name in used}
    stores = {name: entry for name, entry in params.stores.items() if name in used}
    cache = default_result_folder()
    jobs = {row_name(system): _job(system, params, cache) for system in systems.all.values()}
    heads = list(dict.fromkeys(system.head for system in systems.all.values()))
    plan = Plan(
        params.model_copy(update={"encoders": shown, "stores": stores}),
        rows,
        *scored_rows(split, rows),
        jobs=[*baseline_jobs(params.evaluation.baselines, params.seed), *jobs.values()],
        by=None,
    )
    yield from run_plan(Request(heads=heads, params=params_file), plan)


def row_name(system: System) -> str:
    """Return the name of a system's row on the board."""
    return f"{system.head}/{system.view}"


def modality_gains(board: Board, systems: Systems) -> dict[tuple[str, Subset], Difference]:
    """Return what each modality adds to each subset of the others, on the rows of the board."""
    scores = {}
    for subset, system in systems.by_modality.items():
        scored = board.entries[row_name(system)].scored
        if scored is not None:
            scores[subset] = scored.score
    return gains(scores)


def _job(system: System, params: Params, cache: Path) -> Job:
    view = find_view(system.view, params, cache, stores=(FEATURES, SYSTEM_FEATURES))
    settings = params.heads.get(system.head, {"kind": system.head})
    return head_job(system.head, settings, params.seed, view)
