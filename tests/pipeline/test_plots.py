import numpy as np

from pipeline.plots import by_target_table, scatter_table


def test_one_row_per_target():
    table = by_target_table({"pearson": {"joy": 0.5, "fear": None}})
    assert table["target"].tolist() == ["joy", "fear"]


def test_the_scatter_pairs_labels_with_predictions_of_one_split(rows, params):
    rows.y[rows.n_train, 0] = np.nan
    table = scatter_table(rows.y + 1, rows, params.targets, "Val")
    n_val = (rows.clips["split"] == "Val").sum()
    assert len(table) == n_val * 3 - 1
    assert np.allclose(table["prediction"], table["label"] + 1)
    assert set(table["clip_id"]) <= set(rows.clips.loc[rows.clips["split"] == "Val", "clip_id"])
