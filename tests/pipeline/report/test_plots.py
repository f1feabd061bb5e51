import numpy as np
import pandas as pd
import pytest

from pipeline.breakdowns import CONTRIBUTION_COLUMNS, SLICE_COLUMNS
from pipeline.leaderboard import leaderboard, score_splits
from pipeline.report.plots import (
    CALIBRATION_COLUMNS,
    INTERVAL_COLUMNS,
    MOST_POINTS,
    error_tables,
    score_tables,
    weight_table,
)

NO_CONTRIBUTIONS = pd.DataFrame(columns=CONTRIBUTION_COLUMNS)
NO_SLICES = pd.DataFrame(columns=SLICE_COLUMNS)


@pytest.fixture
def board(rows, params):
    rng = np.random.default_rng(0)
    truth = np.nan_to_num(rows.y)
    views = ["clip", "resnet50", "egemaps", "clip+egemaps+resnet50"]
    names = ["stack", *(f"ridge/{view}" for view in views), "baseline/mean"]
    predictions = {name: truth + rng.normal(size=truth.shape) for name in names}
    return leaderboard(score_splits(predictions, rows, params))


def test_scores_are_drawn_as_on_the_leaderboard(board, params):
    drawn = score_tables(board, NO_CONTRIBUTIONS, NO_SLICES)
    scores = drawn["leaderboard"]
    assert scores.columns.tolist() == INTERVAL_COLUMNS
    assert scores["row"].tolist() == board["name"].tolist()
    assert np.allclose(scores["value"], board["val_mean_pearson"])
    assert drawn["encoders"]["row"].tolist()[-1] == "ridge: all joined"
    assert len(drawn["encoders"]) == 4
    cells = drawn["by_target"].set_index(["row", "target"])["value"]
    assert len(cells) == len(board) * len(params.targets)
    assert cells["stack", "joy"] == board.set_index("name").loc["stack", "val_pearson_joy"]


def test_weights_have_one_row_per_cell():
    weights = pd.DataFrame({"member": ["a"], "joy": [0.25], "row": [0.5]})
    drawn = weight_table(weights, ["joy", "row"])
    assert drawn["value"].tolist() == [0.25, 0.5]
    assert drawn["target"].tolist() == ["joy", "row"]


def test_slices_are_those_of_the_stack_on_the_split(board):
    rows = [
        ("age", part, split, name, 5, 2, 0.3, 0.1, 0.5)
        for part in ("young", "old")
        for split in ("oof", "val")
        for name in ("stack", "ridge/clip")
    ]
    slices = pd.DataFrame(rows, columns=SLICE_COLUMNS)
    drawn = score_tables(board, NO_CONTRIBUTIONS, slices)["slices"]
    assert drawn["row"].tolist() == ["age: young · 5 clips", "age: old · 5 clips"]


def test_contributions_are_the_gains(board):
    row = ("modality", "sound", "egemaps", 0.5, 0.4, 0.6, 0.1, -0.1, 0.2, 0.9)
    table = pd.DataFrame([row], columns=CONTRIBUTION_COLUMNS)
    drawn = score_tables(board, table, NO_SLICES)["contributions"]
    assert drawn.to_numpy().tolist() == [["modality: + sound", 0.1, -0.1, 0.2]]


def test_without_anything_to_draw_there_is_a_row_that_says_so(board):
    one = board[~board["name"].str.contains("+", regex=False)]  # a single view of each head
    drawn = score_tables(one, NO_CONTRIBUTIONS, NO_SLICES)
    for name in ("contributions", "slices", "encoders"):
        assert drawn[name]["row"].tolist() == ["nothing to show"]
        assert drawn[name].drop(columns="row").isna().all(axis=None)


def test_errors_are_label_minus_prediction(rows, params):
    rows.y[rows.n_train, 0] = np.nan
    drawn = error_tables(rows.y + 1, rows, params.targets, "val")
    n_val = int((rows.clips["split"] == "Val").sum())
    assert len(drawn["scatter"]) == n_val * 3 - 1
    assert np.allclose(drawn["scatter"]["prediction"], drawn["scatter"]["label"] + 1)
    calibration = drawn["calibration"]
    assert calibration.columns.tolist() == CALIBRATION_COLUMNS
    assert np.allclose(calibration["label"], calibration["prediction"] - 1)
    counts = calibration.groupby("target", sort=False)["n_clips"].sum()
    assert counts.tolist() == [n_val - 1, n_val, n_val]
    for name in ("residuals_by_person", "residuals_by_duration"):
        assert np.allclose(drawn[name]["value"], -1)
    assert np.allclose(drawn["errors_by_duration"]["value"], 1)


def test_many_clips_are_counted_in_cells(rows, params):
    n = MOST_POINTS + 1
    many = rows.clips.iloc[[0]].loc[[0] * n].reset_index(drop=True).assign(split="Val")
    y = np.random.default_rng(0).normal(size=(n, 1))
    dense = type(rows)(many, 0, y, np.array(["a"] * n, object), np.zeros(0, np.int64))
    cells = error_tables(y, dense, ["joy"], "val")["scatter"]
    assert len(cells) < n
    assert cells["n_clips"].sum() == n
    assert np.allclose(cells["label"], cells["prediction"])
