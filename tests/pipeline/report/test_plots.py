from itertools import product

import numpy as np
import pandas as pd
import pytest

from pipeline.breakdowns import CONTRIBUTION_COLUMNS, SLICE_COLUMNS
from pipeline.report.plots import (
    CALIBRATION_COLUMNS,
    INTERVAL_COLUMNS,
    error_table,
    error_tables,
    mean_by_people,
    score_tables,
    weight_table,
)

NO_CONTRIBUTIONS = pd.DataFrame(columns=CONTRIBUTION_COLUMNS)
NO_SLICES = pd.DataFrame(columns=SLICE_COLUMNS)


@pytest.fixture
def board(results):
    return results().board


def test_scores_are_drawn_as_on_the_leaderboard(board, params):
    drawn = score_tables(board, NO_CONTRIBUTIONS, NO_SLICES)
    scores = drawn["leaderboard"]
    assert scores.columns.tolist() == INTERVAL_COLUMNS
    assert scores["row"].tolist() == board["name"].tolist()
    assert np.allclose(scores["value"], board["val_mean_pearson"])
    cells = drawn["by_target"].set_index(["row", "target"])["value"]
    assert len(cells) == len(board) * len(params.targets)
    assert cells["stack", "joy"] == board.set_index("name").loc["stack", "val_pearson_joy"]
    weights = weight_table(pd.DataFrame({"member": ["a"], "joy": 0.25, "row": 0.5}), ["joy", "row"])
    assert weights.drop(columns="row").to_numpy().tolist() == [["joy", 0.25], ["row", 0.5]]


def test_slices_and_contributions_are_drawn_and_where_there_are_none_it_says_so(board):
    each = product(["age"], ["young", "old"], ["oof", "val"], ["stack", "ridge/clip"])
    rows = [(*names, 5, 2, 0.3, 0.1, 0.5) for names in each]
    gain = ("modality", "sound", "egemaps", 0.5, 0.4, 0.6, 0.1, -0.1, 0.2, 0.9)
    contributions = pd.DataFrame([gain], columns=CONTRIBUTION_COLUMNS)
    drawn = score_tables(board, contributions, pd.DataFrame(rows, columns=SLICE_COLUMNS))
    assert drawn["slices"]["row"].tolist() == ["age: young · 5 clips", "age: old · 5 clips"]
    assert drawn["contributions"].to_numpy().tolist() == [["modality: + sound", 0.1, -0.1, 0.2]]
    drawn = score_tables(board, NO_CONTRIBUTIONS, NO_SLICES)
    for name in ("contributions", "slices"):
        assert drawn[name]["row"].tolist() == ["nothing to show"]
        assert drawn[name].drop(columns="row").isna().all(axis=None)


def test_errors_are_label_minus_prediction_and_many_clips_are_counted_in_cells(
    rows, params, monkeypatch
):
    rows.y[rows.n_train, 0] = np.nan
    drawn = error_tables(rows.y + 1, rows, params.targets, "val")
    scatter, calibration = drawn["scatter"], drawn["calibration"]
    n_val = int((rows.clips["split"] == "Val").sum())
    assert len(scatter) == n_val * 3 - 1
    assert np.allclose(scatter["prediction"], scatter["label"] + 1)
    assert calibration.columns.tolist() == CALIBRATION_COLUMNS
    assert np.allclose(calibration["label"], calibration["prediction"] - 1)
    counts = calibration.groupby("target", sort=False)["n_clips"].sum()
    assert counts.tolist() == [n_val - 1, n_val, n_val]
    monkeypatch.setattr("pipeline.report.plots.MOST_POINTS", n_val - 1)
    rows.y[rows.n_train + 1] = rows.y[rows.n_train + 2]  # in one cell
    cells = error_tables(rows.y + 1, rows, params.targets, "val")["scatter"]
    assert len(cells) < cells["n_clips"].sum() == len(scatter)


def test_the_interval_of_a_mean_takes_people_as_draws():
    values = np.repeat([0.0, 1.0, 2.0, 3.0], 50)
    mean, low, high = mean_by_people(values, np.repeat(list("abcd"), 50).astype(object))
    assert mean == 1.5
    assert low < 0 < 3 < high  # four draws, not two hundred
    assert np.isnan(mean_by_people(values, np.array(["a"] * 200, object))[1:]).all()


def test_the_errors_of_a_target_are_in_units_of_its_labels():
    y = np.array([[1.0], [2.0], [np.nan], [3.0]])
    row = error_table(y, np.full((4, 1), 1.5), np.array(list("abcd"), object), ["joy"]).iloc[0]
    spreads = 2.5 / 3, np.std([1, 2, 3]), 0
    assert (row["n_clips"], row["bias"]) == (3, 0.5)
    found = row[["mean_absolute", "label_sd", "prediction_sd"]].astype(float)
    np.testing.assert_allclose(found, spreads)
    empty = error_table(y[:0], y[:0], np.array([], object), ["joy"]).iloc[0]
    assert (empty["n_clips"], str(empty["bias"])) == (0, "nan")
