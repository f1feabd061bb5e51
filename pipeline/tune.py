"""`eri tune`: a search over a head's settings, on cached features and fixed folds."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from pipeline.clip_table import read_rows
from pipeline.comparison import known_view
from pipeline.fit import Fit, FitTask, Fitting, head_task
from pipeline.params import HeadEntry, Params, ParamsError, load_params, load_run
from pipeline.paths import PARAMS, TUNING
from pipeline.result_cache import digest_of
from pipeline.settings_files import known_names, update_settings
from pipeline.spread import fit_all
from pipeline.terminal import Json, On
from pipeline.views import view_names

if TYPE_CHECKING:
    import optuna

    from models.heads.base import Choice, Range

Settings = dict[str, Any]
Space = Mapping[str, "Range | Choice"]


class Trial(NamedTuple):
    """One point of the search: from number 0, which is what `params.yaml` says, and its score.

    The score is the mean Pearson out of fold; None where the fit failed.
    """

    number: int
    settings: Settings
    score: float | None

    def __str__(self) -> str:
        score = " failed " if self.score is None else f"{self.score:+.4f}"
        settings = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        return f"{self.number:4} {score}  {settings}"


def tune(
    params: Params,
    head: str,
    n_trials: int,
    view: str | None = None,
    on_trial: Callable[[Trial], object] = lambda _: None,
    on: str | None = None,
) -> list[Trial]:
    """Search the settings of a head by their score out of fold (Optuna's TPE sampler).

    Trials are kept under ``results/tune``: a search that was stopped goes on, unless the data, the
    code or the head's other settings have changed. Trials never look at Val or Test.

    Parameters
    ----------
    params, head : Params and str
        The settings that are not searched over, and a name under ``heads:``.
    n_trials : int
        How many trials there shall be in all, earlier ones of the same search included.
    view : str, optional
        Encoder names joined by ``+``; by default all encoders.
    on_trial : callable
        Called after every trial.
    on : str, optional
        A cluster, as `features.extraction.cluster.Cluster` names it: a trial in each slot at a
        time. The search then goes through other points, as it knows less when it asks.

    Returns
    -------
    list of Trial
        All that there are, in order.

    Raises
    ------
    ParamsError
        When there is no such head or encoder, or nothing to search.
    """
    from optuna.trial import TrialState

    from models.heads import search_space
    from models.metrics import mean_pearson

    known_names([head], params.heads, "head")
    kind = params.heads[head].kind
    space: Space = search_space(kind)
    if not space:
        raise ParamsError(
            f"the head {head!r} ({kind}) has nothing to search: it chooses its settings by itself"
        )
    name = view_names(params.feature_names)[-1] if view is None else known_view(view, params)
    rows, task = read_rows(params), head_task(head, name, params)
    fitting, n = Fitting(rows), rows.n_train
    study = _study(task, space, fitting)
    n_left = max(n_trials - sum(trial.state.is_finished() for trial in study.trials), 0)

    def ask() -> Iterator[FitTask]:
        for _ in range(n_left):
            trial = study.ask()
            entry = HeadEntry(**task.head.model_dump() | _suggest(trial, space))
            yield replace(task, name=str(trial.number), head=entry)

    for tried, fit in fit_all(fitting, ask(), on, n_tasks=n_left, files=task.files):
        score = math.nan  # settings that cannot be fitted are a failed trial, not the end
        if isinstance(fit, Fit):
            score = mean_pearson(rows.y[:n], fit.predictions[:n], rows.fold_of_row)
        is_scored = math.isfinite(score)
        state = None if is_scored else TrialState.FAIL
        done = study.tell(int(tried.name), score if is_scored else None, state=state)
        on_trial(_trial(done))
    return [_trial(trial) for trial in study.trials if trial.state.is_finished()]


def best_trial(trials: list[Trial]) -> Trial:
    """Return the trial of the highest score, the first among equals; an error without any."""
    scored = [trial for trial in trials if trial.score is not None]
    if not scored:
        raise ParamsError(
            f"none of {len(trials)} trials could be fitted and scored: try the head with `eri "
            "compare --split oof`, which says why"
        )
    return max(scored, key=lambda trial: trial.score or 0.0)


def tune_command(
    head: Annotated[str, typer.Argument(help="A name under heads: in params.yaml.")],
    trials: Annotated[int, typer.Option(min=1, help="Trials in all, earlier ones included.")] = 50,
    view: Annotated[str | None, typer.Option(help="Encoders joined by +; default: all.")] = None,
    on: On = None,
    as_json: Json = False,
) -> None:
    """Search a head's settings by their score out of fold.

    The best ones are written into params.yaml. A search that was stopped goes on where it was. Val
    and Test are never looked at.

    Example: eri tune lightgbm --trials 40

    Example: eri tune mlp --view clip+egemaps
    """
    from models.heads import make_head

    params, show = load_run(), partial(typer.echo, err=as_json)
    made = tune(params, head, trials, view, show, on or params.execution.cluster)
    best, present = best_trial(made), make_head(params.heads[head].model_dump(), 0).get_params()
    changed = {name: value for name, value in best.settings.items() if present[name] != value}
    if changed:
        update_settings(PARAMS, {"heads": {head: changed}}, load_params)
    if as_json:
        content = [each._asdict() for each in made]
        print(json.dumps({"trials": content, "best": best.number, "written": changed}, indent=2))
        return
    values = ", ".join(f"{name}: {value}" for name, value in changed.items())
    written = f"written into {PARAMS}, heads.{head}: {values}\nnow run `dvc repro`"
    print(f"best of {len(made)} trials, out of fold; number 0 is what was set before:\n{best}")
    print(written if changed else f"{PARAMS} stays as it is")


def _study(task: FitTask, space: Space, fitting: Fitting) -> "optuna.Study":
    """Open the journal of the search, or begin one whose first trial is what is set now."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    settings = task.head.model_dump().items()
    fixed = HeadEntry(**{name: value for name, value in settings if name not in space})
    ranges = {name: str(each) for name, each in space.items()}
    TUNING.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # a failed trial has a line of ours
    journal = TUNING / f"{task.name.partition('/')[0]}.journal"
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal))),
        study_name=digest_of(search_of=fitting.key(replace(task, head=fixed)), space=ranges),
        direction="maximize",
        load_if_exists=True,
    )
    # Seeded anew for every start: with the same seed a search gone on with would repeat itself.
    study.sampler = optuna.samplers.TPESampler(seed=task.seed + len(study.trials))
    if not study.trials:
        present = task.make_head().get_params()
        # Not as parameters, which have to lie within the ranges: what is set need not.
        study.enqueue_trial({}, user_attrs={name: present[name] for name in space})
    return study


def _suggest(trial: "optuna.Trial", space: Space) -> Settings:
    from models.heads.base import Choice

    for name, each in space.items() if not trial.user_attrs else ():
        if isinstance(each, Choice):
            trial.suggest_categorical(name, each.values)
        elif isinstance(each.low, int) and isinstance(each.high, int):
            trial.suggest_int(name, each.low, each.high, log=each.log)
        else:
            trial.suggest_float(name, each.low, each.high, log=each.log)
    return _settings(trial)


def _trial(trial: "optuna.trial.FrozenTrial") -> Trial:
    return Trial(trial.number, _settings(trial), trial.values[0] if trial.values else None)


def _settings(trial: "optuna.Trial | optuna.trial.FrozenTrial") -> Settings:
    """Return what was set, or suggested: to four digits, so that it can be read in a file."""
    suggested = trial.params.items()
    near = {k: float(f"{each:.4g}") if isinstance(each, float) else each for k, each in suggested}
    return {**trial.user_attrs, **near}
