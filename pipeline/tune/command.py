"""What the command `eri tune` does with its options."""

import json
from pathlib import Path

from pipeline.params import load_params
from pipeline.settings_files import update_settings
from pipeline.tune.search import Trial, best_trial, tune


def tune_and_write(
    head: str, n_trials: int, view: str | None, params_file: Path, as_json: bool
) -> None:
    """Search, write the best settings into `params.yaml`, and say what was found."""
    params = load_params(params_file)
    show = None if as_json else _show
    trials = tune(params, head, n_trials, view, show)
    best = best_trial(trials)
    present = params.make_head(head).get_params()
    changed = {name: value for name, value in best.settings.items() if present[name] != value}
    if changed:
        update_settings(params_file, {"heads": {head: changed}}, load_params)
    if as_json:
        content = {
            "trials": [vars(trial) for trial in trials],
            "best": best.number,
            "written": changed,
        }
        print(json.dumps(content, indent=2))
        return
    first = trials[0].score
    was = "could not be fitted" if first is None else f"{first:+.4f}"
    print(f"best of {len(trials)} trials: {best.score:+.4f} out of fold (the first one: {was})")
    if not changed:
        print(f"{params_file} stays as it is")
        return
    values = ", ".join(f"{name}: {value}" for name, value in changed.items())
    print(f"written into {params_file}, heads.{head}: {values}\nnow run `dvc repro`")


def _show(trial: Trial) -> None:
    score = " failed " if trial.score is None else f"{trial.score:+.4f}"
    settings = ", ".join(f"{name}={value}" for name, value in trial.settings.items())
    print(f"{trial.number:4} {score}  {settings}", flush=True)
