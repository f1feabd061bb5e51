import numpy as np
import pandas as pd
import pytest

from pipeline.params import ParamsError
from pipeline.predictions import (
    read_members,
    read_prediction_table,
    write_prediction_table,
)
from pipeline.views import view_names


def random_predictions(rows, seed=0):
    return np.random.default_rng(seed).normal(size=rows.y.shape)


def test_a_table_reads_back_in_the_order_of_the_rows(rows, params, tmp_path):
    path = tmp_path / "oof.parquet"
    written = {view: random_predictions(rows, seed) for seed, view in enumerate(("a", "b"))}
    write_prediction_table(path, written, rows, params.targets)
    table = pd.read_parquet(path)
    assert table.columns.tolist() == ["clip_id", "view", "fold", *params.targets]
    assert (table.loc[table["fold"] == -1, "clip_id"].nunique()) == len(rows.clips) - rows.n_train
    table.sample(frac=1, random_state=0).to_parquet(path)
    found = read_prediction_table(path, rows, params.targets)
    assert all(np.array_equal(found[view], written[view]) for view in written)


def test_a_table_of_other_clips_is_refused(rows, params, tmp_path):
    path = tmp_path / "oof.parquet"
    write_prediction_table(path, {"a": random_predictions(rows)}, rows, params.targets)
    pd.read_parquet(path).iloc[1:].to_parquet(path)
    with pytest.raises(ParamsError, match="other clips.*dvc repro"):
        read_prediction_table(path, rows, params.targets)


def test_members_come_in_the_order_of_the_parameters(rows, params, tmp_path):
    encoders = ["b", "a"]
    for head in ("ridge", "mlp"):
        views = {view: random_predictions(rows) for view in sorted(view_names(encoders))}
        write_prediction_table(tmp_path / f"{head}.parquet", views, rows, params.targets)
    members = read_members(["ridge", "mlp"], encoders, rows, params.targets, tmp_path)
    expected = ["ridge/b", "ridge/a", "ridge/a+b", "mlp/b", "mlp/a", "mlp/a+b"]
    assert [name for name, _ in members] == expected
