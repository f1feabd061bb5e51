"""A search over a head's settings on cached features and fixed folds, that can be gone on with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from models.arrays import DataError
from models.heads import search_space
from models.heads.search import Choice, Range
from models.metrics import mean_pearson
from pipeline.clip_table import read_rows
from pipeline.compare.plan import known_view
from pipeline.fits.digests import digest_of
from pipeline.fits.fit_cache import FitCache
from pipeline.fits.fitting import Fitter, make_job_head
from pipeline.fits.jobs import Job, head_job
from pipeline.fits.pooled import find_view
from pipeline.fits.result_cache import default_result_folder
from pipeline.params import Params, ParamsError
from pipeline.paths import TUNING
from pipeline.views import view_names

Settings = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """One point of the search.

    Attributes
    ----------
    number : int
        From 0; the settings of `params.yaml` come first.
    settings : dict
        What was searched over.
    score : float, optional
        Mean Pearson out of fold, fold by fold; None where the fit failed.
    """

    number: int
    settings: Settings
    score: float | None


def tune(
    params: Params,
    head: str,
    n_trials: int,
    view: str | None = None,
    on_trial: Callable[[Trial], None] | None = None,
) -> list[Trial]:
    """Search the settings of a head by their score out of fold (Optuna's TPE sampler).

    Trials are kept under ``results/tune``: a search that was stopped goes on, unless the data, the
    code or the head's other settings have changed. Trials never look at Val or Test.

    Parameters
    ----------
    params : Params
        Names the head, and gives the settings that are not searched over.
    head : str
        A name under ``heads:``.
    n_trials : int
        How many trials there shall be in all, earlier ones of the same search included.
    view : str, optional
        Encoder names joined by ``+``; by default all encoders.
    on_trial : callable, optional
        Called after every trial.

    Returns
    -------
    list of Trial
        All that there are, in order.

    Raises
    ------
    ParamsError
        When there is no such head or encoder, or nothing to search.
    StoreError
        When the clip vectors of an encoder are missing.
    """
    space, encoders = _space(params, head), params.feature_names
    rows = read_rows(params)
    folder = default_result_folder()
    name = view_names(encoders)[-1] if view is None else known_view(view, encoders)
    found = find_view(name, params, folder)
    fitter, cache = Fitter(rows), FitCache(rows, folder)
    present = head_job(head, params.heads[head], params.seed, found)
    study = _study(head, present, space, cache, params.seed)
    space = _widened(space, make_job_head(present).get_params())

    def score(trial: optuna.Trial) -> float:
        settings = {**present.settings, **_suggest(trial, space)}
        job = head_job(head, {"kind": present.kind, **settings}, params.seed, found)
        fit = cache.get_fit(cache.key(job))
        if fit is None:
            fit = fitter.fit(found, make_job_head(job))
            cache.put(cache.key(job), fit.arrays)
        oof = fit.predictions[: rows.n_train]
        return mean_pearson(rows.y[: rows.n_train], oof, rows.fold_of_row)

    def tell(_: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        if on_trial is not None:
            on_trial(_trial(trial))

    n_left = n_trials - sum(trial.state.is_finished() for trial in study.trials)
    if n_left > 0:
        # Settings that cannot be fitted are a failed trial, not the end.
        study.optimize(score, n_left, callbacks=[tell], catch=(DataError, ValueError))
    return [_trial(trial) for trial in study.trials if trial.state.is_finished()]


def best_trial(trials: list[Trial]) -> Trial:
    """Return the trial of the highest score, the first among equals.

    Raises
    ------
    ParamsError
        When no trial could be fitted.
    """
    scored = [trial for trial in trials if trial.score is not None]
    if not scored:
        raise ParamsError(
            f"none of {len(trials)} trials could be fitted: try the head with `eri compare`, which "
            "says why"
        )
    return max(scored, key=lambda trial: (trial.score, -trial.number))


def _space(params: Params, head: str) -> dict[str, Range | Choice]:
    if head not in params.heads:
        raise ParamsError(f"unknown head {head!r}: expected one of {list(params.heads)}")
    kind = params.heads[head]["kind"]
    space = search_space(kind)
    if not space:
        raise ParamsError(
            f"the head {head!r} ({kind}) has nothing to search: it chooses its settings by itself"
        )
    return space


def _widened(
    space: Mapping[str, Range | Choice], present: Mapping[str, Any]
) -> dict[str, Range | Choice]:
    """Stretch ranges to the present settings: the first trial is within them too."""
    return {
        name: replace(each, low=min(each.low, present[name]), high=max(each.high, present[name]))
        if isinstance(each, Range) and _can_hold(each, present[name])
        else each
        for name, each in space.items()
    }


def _can_hold(each: Range | Choice, value: Any) -> bool:
    """Whether a range can be stretched to a value: no factor leads to zero."""
    return value is not None and not (isinstance(each, Range) and each.log and value <= 0)


def _study(
    head: str, job: Job, space: Mapping[str, Range | Choice], cache: FitCache, seed: int
) -> optuna.Study:
    fixed = {name: value for name, value in job.settings.items() if name not in space}
    bare = head_job(head, {"kind": job.kind, **fixed}, job.seed, job.view)
    ranges = {name: str(each) for name, each in space.items()}
    TUNING.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(TUNING / f"{head}.journal")))
    study = optuna.create_study(
        storage=storage,
        study_name=digest_of({"fit": cache.key(bare), "space": ranges}),
        direction="maximize",
        load_if_exists=True,
    )
    # Seeded anew for every start: with the same seed a search gone on with would repeat itself.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
    if not study.trials:
        present = make_job_head(job).get_params()
        held = {name: present[name] for name in space if _can_hold(space[name], present[name])}
        # The others are settings of the first trial alone, which Optuna does not learn from.
        others = {name: present[name] for name in space if name not in held}
        study.enqueue_trial(held, user_attrs=others)
    return study


def _suggest(trial: optuna.Trial, space: Mapping[str, Range | Choice]) -> Settings:
    settings: Settings = {}
    for name, each in space.items():
        if name in trial.user_attrs:
            settings[name] = trial.user_attrs[name]
        elif isinstance(each, Choice):
            settings[name] = trial.suggest_categorical(name, each.values)
        elif isinstance(each.low, int) and isinstance(each.high, int):
            settings[name] = trial.suggest_int(name, each.low, each.high, log=each.log)
        else:
            settings[name] = trial.suggest_float(name, each.low, each.high, log=each.log)
    return _rounded(settings)


def _rounded(settings: Mapping[str, Any]) -> Settings:
    """Round to four digits: what is fitted is what can be read in `params.yaml`."""
    return {
        name: float(f"{value:.4g}") if isinstance(value, float) else value
        for name, value in settings.items()
    }


def _trial(trial: optuna.trial.FrozenTrial) -> Trial:
    score = trial.values[0] if trial.values else None
    return Trial(trial.number, {**trial.user_attrs, **_rounded(trial.params)}, score)
