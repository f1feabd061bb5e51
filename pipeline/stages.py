"""The stages of `dvc.yaml`, in its order: each reads, calls and writes, and prints a line.

``python -m pipeline.stages fit ridge`` runs one, here the stage `fit` of the head `ridge`. What is
heavy is imported by the stage that needs it.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from features.extraction.workers import Failure
from models.arrays import DataError
from pipeline import paths
from pipeline.clip_table import build_clip_table, read_clip_table, read_rows
from pipeline.errors import check_share, report_extraction, run_or_exit, summary
from pipeline.fit import Fitting, baseline_tasks, head_task, stack_members
from pipeline.params import left_out_note, load_params, load_run
from pipeline.spread import fit_all
from pipeline.tables import read_run_table, write_csv, write_text
from pipeline.views import (
    check_store,
    imputed_table,
    member_names,
    read_members,
    read_prediction_table,
    submission_table,
    view_names,
    write_prediction_table,
)


def demo() -> None:
    """Write ``data/demo``: clips and label table, or nothing where `data` points elsewhere."""
    from pipeline.demo.corpus import write_corpus

    params = load_params(check_heads=False)
    paths.DEMO.mkdir(parents=True, exist_ok=True)
    if params.data.media.is_relative_to(paths.DEMO):
        write_corpus(paths.DEMO, params.demo, params.targets)


def index() -> None:
    """Write ``data/clips.parquet``; stop when too many files cannot be used."""
    params = load_params()
    clips = build_clip_table(params)
    failed = clips.loc[clips["error_step"].notna(), ["clip_id", "error_step", "error_reason"]]
    failed = failed.rename(columns={"error_step": "step", "error_reason": "reason"})
    sizes = clips["split"].value_counts(sort=False).items()
    print(f"{len(clips)} clips: {', '.join(f'{split} {n}' for split, n in sizes)}")
    print(summary("files", len(clips), failed))
    check_share("files", len(clips), failed, params.data.max_failed_share)
    paths.CLIPS.parent.mkdir(parents=True, exist_ok=True)
    clips.to_parquet(paths.CLIPS, index=False)


def extract() -> None:
    """Write ``data/features`` and ``data/transcripts.parquet``; stop when too many clips failed."""
    from features.transcripts import COLUMNS, write_transcripts
    from pipeline.transcripts import extract_with_words

    params, clips = load_params(), read_clip_table()
    paths.FEATURES.mkdir(parents=True, exist_ok=True)  # there may be imported features only
    if params.transcripts is None:
        write_transcripts(paths.TRANSCRIPTS, pd.DataFrame(columns=list(COLUMNS)), {})
    into = (paths.FEATURES, paths.TRANSCRIPTS)
    report = extract_with_words(clips, params.encoders, params, *into, params.execution.cluster)
    report_extraction(report, len(clips), params.data.max_failed_share)
    if report.left_out:
        print(left_out_note([*report.left_out]))


def pool() -> None:
    """Write ``data/pooled/<name>.parquet`` for every encoder and imported store.

    An imported one may be of other clips: those of the clip table are kept, and those that it lacks
    are listed beside them, as `extract` does for encoders.
    """
    from features.pool import pool_store
    from features.store import StoreError, write_clip_vectors, write_failures

    params, clips = load_run(check_heads=False), read_clip_table()["clip_id"]
    for name in params.feature_names:
        folder = check_store(name, params)
        pooled = pool_store(folder, params.pooling)
        kept = np.isin(pooled.clip_id.astype(str), clips.to_numpy(str))
        if not kept.any():
            raise StoreError(f"{folder} has features of no clip of the clip table: import others")
        if not kept.all():
            print(f"{name}: {(~kept).sum()} clips with features are not in the clip table")
        metadata, vectors, share = pooled.metadata, pooled.embedding[kept], pooled.face_share
        if name in params.stores:
            metadata |= {"store": str(folder), "sha256": params.stores[name].sha256}
            lacking = clips[~clips.isin(pooled.clip_id)]
            failures = pd.DataFrame({"clip_id": lacking, "step": "stream", "reason": "no features"})
            write_failures(params.failures_file(name), failures)
        share = None if share is None else share[kept]
        path = paths.POOLED / f"{name}.parquet"
        write_clip_vectors(path, pooled.clip_id[kept], vectors, metadata, share)
        print(f"{name}: {vectors.shape[0]} clips x {vectors.shape[1]} columns")
        if n_people := metadata.get("n_people"):
            print(", ".join(f"{n_clips} clips show {n} people" for n, n_clips in n_people.items()))


def folds() -> None:
    """Write ``data/folds.parquet`` (``clip_id, person, fold``) and ``data/people.json``."""
    from pipeline.people import face_vectors, find_people

    params, clips = load_run(), read_clip_table()
    table, record = find_people(clips, face_vectors(clips, params), params)
    table.to_parquet(paths.FOLDS, index=False)
    write_text(json.dumps(record, indent=2) + "\n", paths.PEOPLE)
    print(f"{len(table)} clips of {record['n_people']} people, by {record['source']}")
    sizes = table.loc[table["fold"] >= 0, "fold"].value_counts().sort_index()
    print(f"{sizes.sum()} Train clips in {len(sizes)} folds ({', '.join(map(str, sizes))})")
    for warning in record["warnings"]:
        print(f"warning: {warning}")


def baseline() -> None:
    """Write ``results/baselines.parquet`` with the views ``mean``, ``duration`` and the columns."""
    params = load_run()
    rows = read_rows(params)
    fitting, predictions = Fitting(rows), {}
    for task in baseline_tasks(params):
        fit = fitting.fit(replace(task, refit_on=params.final.refit_on))
        predictions[task.name.removeprefix("baseline/")] = fit.predictions
    write_prediction_table(paths.BASELINES, predictions, rows, params.targets)


def fit(head: str) -> None:
    """Write ``results/oof/<head>.parquet`` and ``results/heads/<head>/<view>.skops``."""
    params = load_run()
    rows = read_rows(params)
    fitting, predictions = Fitting(rows), {}
    views, refit_on = view_names(params.feature_names), params.final.refit_on
    plain = [head_task(head, view, params) for view in views]
    tasks = [replace(task, refit_on=refit_on, with_head=True) for task in plain]
    for task, fit in fit_all(fitting, tasks, params.execution.cluster):
        if isinstance(fit, Failure):
            raise fit.error or DataError(f"{task.name}: {fit.reason}")
        view = task.name.partition("/")[2]
        kept = paths.fitted_head(head, view)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(fit.head or b"")
        how = "as fitted before" if fit.reused else f"{fit.fit_s:.1f} s"
        print(f"{task.name}: {len(fit.predictions)} clips, {how}", flush=True)
        predictions[view] = fit.predictions
    predictions = {view: predictions[view] for view in views}
    write_prediction_table(paths.OOF / f"{head}.parquet", predictions, rows, params.targets)


def stack() -> None:
    """Write the stack, its predictions and weights, ``predictions.csv`` and ``imputed.csv``."""
    from models.persistence import dumps

    params = load_run()
    rows = read_rows(params)
    by_name = read_members(params, rows)
    fitted, predictions = stack_members(list(by_name.values()), rows)
    write_prediction_table(paths.STACK, {"stack": predictions}, rows, params.targets)
    names = pd.Index(by_name, name="member")
    weights = pd.DataFrame(fitted.member_weights.T, names, list(params.targets))
    weights.to_csv(paths.STACK_WEIGHTS)
    write_csv(submission_table(predictions, rows.clips, params.targets), paths.PREDICTIONS)
    failures = {name: params.failures_file(name) for name in params.feature_names}
    write_csv(imputed_table(rows, failures), paths.IMPUTED)
    paths.STACK_FITTED.write_bytes(dumps(fitted))
    fitted_share = f"{fitted.share:.0%} by fitted weights, the rest averaged by skill"
    how = {"average": "averaged by skill", "mean": "none varies: the mean label"}
    print(f"stack of {len(by_name)} members: {how.get(fitted.method, fitted_share)}")


def bundle() -> None:
    """Write ``results/bundle``."""
    from pipeline.packing import make_bundle

    params = load_run()
    description = make_bundle(params, read_rows(params), paths.BUNDLE)
    difference = description.largest_difference
    compared = "" if difference is None else f"; {difference:.1e} from predictions.csv at most"
    print(
        f"{paths.BUNDLE}: {len(description.members)} heads of {description.n_clips} clips{compared}"
    )


def evaluate() -> None:
    """Write ``metrics.json``, ``leaderboard.csv``, ``slices.csv``, ``contributions.csv``, plots."""
    from pipeline.breakdowns import contribution_table, slice_table
    from pipeline.leaderboard import BASELINE, STACK, leaderboard, metrics, score_splits
    from pipeline.report.plots import error_tables, score_tables, weight_table

    params = load_run()
    targets = params.targets
    rows = read_rows(params)
    stacked = read_prediction_table(paths.STACK, rows, targets)[STACK]
    members = read_members(params, rows)
    baselines = read_prediction_table(paths.BASELINES, rows, targets)

    named = {STACK: stacked, **members}
    named |= {f"{BASELINE}{name}": each for name, each in baselines.items()}
    by_split = score_splits(named, rows, params)
    scores = json.dumps(metrics(by_split, targets), indent=2) + "\n"
    write_text(scores, paths.METRICS)
    table = leaderboard(by_split)
    write_csv(table, paths.LEADERBOARD)

    best = next(name for name in table["name"] if name in members)
    shown = {STACK: stacked, best: members[best]}
    sliced = slice_table(shown, rows, params, params.evaluation.slices, list(by_split))
    write_csv(sliced, paths.SLICES)

    main_split = next(iter(by_split))
    contributions = contribution_table(members, rows, params, main_split)
    write_csv(contributions, paths.CONTRIBUTIONS)
    plots = {
        **score_tables(table, contributions, sliced),
        "weights": weight_table(read_run_table(paths.STACK_WEIGHTS), targets),
        **error_tables(stacked, rows, targets, main_split),
    }
    for name, each in plots.items():
        write_csv(each, paths.PLOTS / f"{name}.csv")


def learning_curve() -> None:
    """Write ``results/learning_curve.csv``, without rows where there can be no curve."""
    from pipeline.breakdowns import CURVE_COLUMNS, learning_curve_table

    params = load_run()
    rows, table = read_rows(params), pd.DataFrame(columns=CURVE_COLUMNS)
    members = member_names(params)
    best = next(name for name in read_run_table(paths.LEADERBOARD)["name"] if name in members)
    try:
        head, view = best.split("/")
        table = learning_curve_table(Fitting(rows), head_task(head, view, params), params)
        print(table.to_string(index=False, na_rep=""))
    except DataError as error:  # a curve is no reason to stop a run whose scores are there
        print(f"no learning curve of {best}: {error}")
    write_csv(table, paths.LEARNING_CURVE)


def report() -> None:
    """Write ``results/report.html``, ``model_card.md`` and ``run.json``; print the leaderboard."""
    from pipeline.leaderboard import leaderboard_text
    from pipeline.report.data import imputed_sentences
    from pipeline.report.page import render_model_card, render_report, run_notes
    from pipeline.report.results import read_results

    params = load_run()
    results = read_results(params)
    write_text(render_report(results), paths.REPORT)
    write_text(render_model_card(results), paths.MODEL_CARD)
    write_text(json.dumps(results.record, indent=2) + "\n", paths.RUN)

    print(f"\nMean Pearson over {len(params.targets)} targets\n")
    print(leaderboard_text(results.board).to_string(index=False))
    for note in [*run_notes(results), *results.warnings, *imputed_sentences(results.imputed)]:
        print(f"\n{note}")
    print(f"\nreport       {paths.REPORT}\nmodel card   {paths.MODEL_CARD}")
    print(f"leaderboard  {paths.LEADERBOARD}\nmetrics      {paths.METRICS}")
    print(f"predictions  {paths.PREDICTIONS}\nimputed      {paths.IMPUTED}")


STAGES: list[Callable[..., None]] = [demo, index, extract, pool, folds, baseline, fit]
STAGES += [stack, bundle, evaluate, learning_curve, report]


def main() -> None:
    """Run the stage named on the command line."""
    name, *arguments = sys.argv[1:]
    {stage.__name__: stage for stage in STAGES}[name](*arguments)


if __name__ == "__main__":
    run_or_exit(main)
