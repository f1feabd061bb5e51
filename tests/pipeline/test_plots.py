import json

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.leaderboard import SLICE_COLUMNS, leaderboard, score_splits
from pipeline.plots import (
    CALIBRATION_COLUMNS,
    INTERVAL_COLUMNS,
    by_target_table,
    error_tables,
    scatter_table,
    score_tables,
    slices_table,
    weight_table,
)


@pytest.fixture
def table(rows, params):
    rng = np.random.default_rng(0)
    truth = np.nan_to_num(rows.y)
    views = ["clip", "resnet50", "egemaps", "clip+egemaps+resnet50"]
    names = ["stack", *(f"ridge/{view}" for view in views), "baseline/mean"]
    predictions = {name: truth + rng.normal(size=truth.shape) for name in names}
    return leaderboard(score_splits(predictions, rows, params))


def test_scores_are_drawn_as_on_the_leaderboard(table, params):
    drawn = score_tables(table, "val", list(params.heads), list(params.encoders))
    board = drawn["leaderboard"]
    assert board.columns.tolist() == INTERVAL_COLUMNS
    assert board["row"].tolist() == table["name"].tolist()
    assert np.allclose(board["value"], table["val_mean_pearson"])
    assert drawn["encoders"]["row"].tolist()[-1] == "ridge: all 3 joined"
    assert len(drawn["encoders"]) == 4


def test_heat_maps_have_one_row_per_cell(table, params):
    cells = by_target_table(table, "val", params.targets)
    assert len(cells) == len(table) * len(params.targets)
    cell = cells[(cells["row"] == "stack") & (cells["target"] == "joy")]
    assert cell["value"].item() == table.set_index("name").loc["stack", "val_pearson_joy"]
    weights = pd.DataFrame({"member": ["a", "a"], "part": ["all", "own target"]})
    weights = weights.assign(**{target: [0.25, 0.75] for target in params.targets})
    assert weight_table(weights, params.targets)["value"].tolist() == [0.25] * 3


def test_slices_are_those_of_the_stack_on_the_split():
    rows = [
        ("age", part, split, name, 5, 2, 0.3, 0.1, 0.5)
        for part in ("young", "old")
        for split in ("oof", "val")
        for name in ("stack", "ridge/clip")
    ]
    drawn = slices_table(pd.DataFrame(rows, columns=SLICE_COLUMNS), "val")
    assert drawn["row"].tolist() == ["age: young · 5 clips", "age: old · 5 clips"]


def test_without_anything_to_draw_there_is_a_row_that_says_so():
    drawn = slices_table(pd.DataFrame(columns=SLICE_COLUMNS), "val")
    assert drawn["row"].tolist() == ["nothing to show"]
    assert drawn.drop(columns="row").isna().all(axis=None)


def test_the_scatter_pairs_labels_with_predictions_of_one_split(rows, params):
    rows.y[rows.n_train, 0] = np.nan
    table = scatter_table(rows.y + 1, rows, params.targets, "Val")
    n_val = (rows.clips["split"] == "Val").sum()
    assert len(table) == n_val * 3 - 1
    assert np.allclose(table["prediction"], table["label"] + 1)
    assert set(table["clip_id"]) <= set(rows.clips.loc[rows.clips["split"] == "Val", "clip_id"])


def test_errors_are_label_minus_prediction(rows, params):
    drawn = error_tables(rows.y + 1, rows, params.targets, "Val")
    assert drawn["calibration"].columns.tolist() == CALIBRATION_COLUMNS
    assert np.allclose(drawn["calibration"]["label"], drawn["calibration"]["prediction"] - 1)
    n_val = (rows.clips["split"] == "Val").sum()
    assert drawn["calibration"].groupby("target")["n_clips"].sum().tolist() == [n_val] * 3
    for name in ("residuals_by_person", "residuals_by_duration"):
        assert np.allclose(drawn[name]["value"], -1)


def test_every_plot_of_dvc_has_its_template(request):
    root = request.config.rootpath
    plots = yaml.safe_load((root / "dvc.yaml").read_text())["plots"]
    for plot in plots:
        for settings in plot.values():
            text = (root / ".dvc/plots" / f"{settings['template']}.json").read_text()
            json.loads(text)
            assert "<DVC_METRIC_DATA>" in text
            assert "<DVC_METRIC_Y>" in text
