import numpy as np
import pandas as pd
import pytest

from pipeline.leaderboard import leaderboard, score_splits
from pipeline.report.text import imputed_text, leaderboard_text, refit_notes


@pytest.fixture
def predictions(rows):
    truth = np.nan_to_num(rows.y)
    return {
        "stack": truth,
        "mlp/face": truth + 0.2 * np.random.default_rng(0).normal(size=truth.shape),
        "baseline/mean": np.full_like(truth, 0.3),
    }


def as_read(predictions, rows, params, folder):
    table = leaderboard(score_splits(predictions, rows, params))
    table.to_csv(folder / "leaderboard.csv", index=False)
    return pd.read_csv(folder / "leaderboard.csv")


def test_each_row_has_its_chance_of_beating_the_first(predictions, rows, params, tmp_path):
    lines = leaderboard_text(as_read(predictions, rows, params, tmp_path)).splitlines()
    assert lines[0].split()[-3:] == [">", "best", "constant"]
    assert [line.split()[0] for line in lines[1:]] == ["stack", "mlp/face", "baseline/mean"]
    assert lines[1].split()[-1].endswith("+1.000")  # neither a chance nor a note
    assert lines[2].split()[-1] == "0.000"
    assert lines[3].split()[-2:] == ["0.000", "all"]


def test_the_note_is_only_there_where_something_is_constant(predictions, rows, params, tmp_path):
    del predictions["baseline/mean"]
    assert "constant" not in leaderboard_text(as_read(predictions, rows, params, tmp_path))


def test_the_official_score_is_only_there_where_it_differs(predictions, rows, params, tmp_path):
    lines = leaderboard_text(as_read(predictions, rows, params, tmp_path)).splitlines()
    assert "official" in lines[0]
    assert [("NaN" in line) for line in lines[1:]] == [False, False, True]
    del predictions["baseline/mean"]
    assert "official" not in leaderboard_text(as_read(predictions, rows, params, tmp_path))


def test_clips_without_features_are_counted_by_split():
    table = pd.DataFrame({"split": ["Val", "Val", "Test"], "all_missing": [False, True, False]})
    first, second = imputed_text(table)
    assert first.startswith("Val: 2 clips")
    assert "1 of them without any" in first
    assert second.startswith("Test: 1 clips")
    assert imputed_text(table[:0]) == []


def test_a_refit_is_said(params):
    assert refit_notes(params) == []
    final = params.final.model_copy(update={"refit_on": "train+val"})
    assert "Train and Val" in refit_notes(params.model_copy(update={"final": final}))[0]


def test_without_labels_on_val_the_chance_is_out_of_fold(predictions, rows, params, tmp_path):
    rows.y[rows.n_train :] = np.nan
    lines = leaderboard_text(as_read(predictions, rows, params, tmp_path)).splitlines()
    assert "val" not in lines[0]
    assert lines[3].split()[-2:] == ["0.000", "all"]
