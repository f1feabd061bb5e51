import numpy as np
import pytest

from models.evaluation.bootstrap import percentile_interval
from models.evaluation.learning_curve import CurvePoint
from models.evaluation.scores import Score
from pipeline.fits.curve import CURVE_COLUMNS, curve_arrays, curve_settings, curve_table


def test_sizes_go_up_to_all_labelled_people_of_train(rows, params):
    settings = curve_settings(rows, params)
    labelled = set(rows.people[: rows.n_train])
    assert settings["n_people"] == sorted(set(settings["n_people"]))
    assert settings["n_people"][-1] == len(labelled)
    rows.y[rows.people == rows.people[0]] = np.nan
    assert curve_settings(rows, params)["n_people"][-1] == len(labelled) - 1


def test_the_interval_is_of_the_mean_over_the_draws():
    rng = np.random.default_rng(0)
    resampled = rng.normal(0.3, 0.1, (3, 500))
    flat = np.zeros(1, bool)
    points = [
        CurvePoint(n_people, n_rows, repeat, Score(np.array([r]), np.array([r]), flat, each))
        for (n_people, n_rows, repeat, r), each in zip(
            [(4, 10, 0, 0.1), (4, 13, 1, 0.4), (8, 25, 0, 0.5)], resampled, strict=True
        )
    ]
    table = curve_table(curve_arrays(points))
    assert table.columns.tolist() == CURVE_COLUMNS
    first, whole = table.to_dict("records")
    assert (first["n_people"], first["n_rows"], first["n_fits"]) == (4, 12, 2)
    assert (first["mean_pearson"], first["lowest"], first["highest"]) == (0.25, 0.1, 0.4)
    ends = percentile_interval(resampled[:2].mean(axis=0))
    assert first["ci95_low"] == pytest.approx(ends.low, abs=1e-6)
    assert first["ci95_high"] == pytest.approx(ends.high, abs=1e-6)
    assert (whole["n_people"], whole["n_fits"], whole["mean_pearson"]) == (8, 1, 0.5)
