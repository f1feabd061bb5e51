"""Person-wise bootstrap of a whole leaderboard, against a plain loop over resamples.

From the root of the repository: ``python -m benchmarks.bootstrap [--fast]``
"""

import time
from typing import Annotated

import numpy as np
import typer

from benchmarks.hume_size import CLIPS, PEOPLE
from benchmarks.machine import describe
from models.evaluation.bootstrap import bootstrap_scores, resample_counts
from models.metrics import mean_pearson

N_MEMBERS = 30
N_RESAMPLES = 2000
N_TARGETS = 7
N_LOOPED = 20

CASES = {split: (CLIPS[split], PEOPLE[split]) for split in ("Train", "Val")}


def main(fast: Annotated[bool, typer.Option(help="Only the smaller table.")] = False) -> None:
    """Time 30 leaderboard rows x 2,000 resamples; the loop is timed on 20 of one row."""
    typer.echo(describe())
    for name in ["Val"] if fast else CASES:
        n_rows, n_people = CASES[name]
        rng = np.random.default_rng(0)
        groups = np.concatenate(
            [np.arange(n_people), rng.integers(n_people, size=n_rows - n_people)]
        )
        true = rng.uniform(size=(n_rows, N_TARGETS))
        members = true + rng.normal(size=(N_MEMBERS, n_rows, N_TARGETS))
        begin = time.perf_counter()
        scores = bootstrap_scores(true, members, groups, N_RESAMPLES, seed=0)
        seconds = time.perf_counter() - begin

        rows_of = [np.flatnonzero(groups == person) for person in range(n_people)]
        blocks = resample_counts(n_people, N_RESAMPLES, np.random.default_rng(0))
        counts = next(blocks)[:N_LOOPED].astype(int)
        begin = time.perf_counter()
        for number, count in enumerate(counts):
            rows = np.concatenate([rows_of[k] for k in np.repeat(np.arange(n_people), count)])
            expected = mean_pearson(true[rows], members[0, rows])
            np.testing.assert_allclose(scores[0, number], expected, atol=1e-9)
        loop_seconds = (time.perf_counter() - begin) / N_LOOPED * N_RESAMPLES * N_MEMBERS
        folds = groups % 5
        begin = time.perf_counter()
        bootstrap_scores(true, members, groups, N_RESAMPLES, seed=0, fold_of_row=folds)
        by_fold = time.perf_counter() - begin
        typer.echo(
            f"{name}: {N_MEMBERS} rows x {N_RESAMPLES} resamples of {n_people} people with "
            f"{n_rows} clips in {seconds:.2f} s, in five folds {by_fold:.2f} s; the loop would "
            f"take {loop_seconds:.0f} s"
        )


if __name__ == "__main__":
    typer.run(main)
