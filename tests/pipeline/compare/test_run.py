import numpy as np
import pandas as pd
import pytest

from models.arrays import DataError
from models.heads import HEADS
from pipeline.compare import compare
from pipeline.compare.plan import Request
from pipeline.compare.run import run
from pipeline.errors import user_errors
from tests.pipeline.compare.odd_heads import RaisingHead

ALL = ["RidgeHead", "MeanHead"]


def everything(views=("face", "voice", "face+voice")):
    return ["MeanHead/duration", "RidgeHead/duration", *(f"{h}/{v}" for v in views for h in ALL)]


def last(**asked):
    *_, board = run(Request(**asked))
    return board


def test_all_heads_baselines_and_the_stack_are_ranked(project, fitted):
    table = compare()
    assert fitted == everything()
    assert len(table) == 2 + 6 + 1
    assert table["mean_pearson"].is_monotonic_decreasing
    assert table["ci95_low"].le(table["mean_pearson"]).all()
    assert table["better_than_best"].isna().tolist() == [True] + [False] * 8
    constant = table.set_index("name")["constant"]
    assert constant[["average/face", "ridge/face", "baseline/mean"]].tolist() == ["all", "", "all"]
    scores = table.set_index("name")["mean_pearson"]
    assert scores["ridge/face+voice"] > 0.5 > 0.2 > scores["baseline/duration"]
    assert (table["error"] == "").all()


def test_nothing_is_fitted_twice(project, fitted):
    first = compare()
    n = len(fitted)
    pd.testing.assert_frame_equal(compare(), first)
    oof = compare(split="oof")
    assert "pooled_mean_pearson" in oof
    assert oof["mean_pearson"].tolist() != first["mean_pearson"].tolist()
    assert len(fitted) == n
    assert last().n_reused == 9  # the stack as well


def test_what_is_added_is_fitted_and_no_more(project, fitted):
    compare(encoders=["face"], heads=["ridge"])
    fitted.clear()
    compare(encoders=["face"], heads=["ridge", "mean"])
    assert fitted == ["MeanHead/face"]


@pytest.mark.parametrize("head", ["ridge", "penalised"])
def test_a_changed_setting_refits_that_head_and_a_new_name_does_not(project, fitted, head):
    compare()
    fitted.clear()
    settings = {"kind": "ridge"} if head == "penalised" else {"kind": "ridge", "alphas": [3.0]}
    project.content["heads"] = {head: settings, "average": {"kind": "mean"}}
    project.write()
    compare()
    changed = [f"RidgeHead/{view}" for view in ("face", "voice", "face+voice")]
    assert fitted == ([] if head == "penalised" else changed)


def test_changed_clip_vectors_refit_the_views_that_have_them(project, fitted):
    compare()
    fitted.clear()
    project.write_vectors("voice", seed=1)
    compare()
    assert fitted == [f"{head}/{view}" for view in ("voice", "face+voice") for head in ALL]


def test_changed_labels_folds_seed_or_code_refit_everything(project, fitted, monkeypatch):
    def relabel():
        project.clips.loc[0, "joy"] += 0.01

    def fold_otherwise():
        project.content["folds"]["n_folds"] = 2

    def seed_otherwise():
        project.content["seed"] = 5

    def recode():
        for name in ("code_digest", "_code_in_use"):
            monkeypatch.setattr(f"pipeline.fits.fit_cache.{name}", lambda: "other code")

    compare()
    for change in (relabel, fold_otherwise, seed_otherwise, recode):
        fitted.clear()
        change()
        project.write()
        compare()
        assert fitted == everything(), change.__name__


def test_other_targets_are_fitted_anew_and_alone(project, fitted):
    compare()
    fitted.clear()
    table = compare(targets=["fear"])
    assert fitted == everything()
    assert [name for name in table if name.startswith("pearson_")] == ["pearson_fear"]
    assert table["mean_pearson"].tolist() == table["pearson_fear"].tolist()


def test_twins_of_other_names_are_fitted_once(project, fitted):
    project.content["heads"]["again"] = {"kind": "ridge"}
    project.write()
    table = compare(encoders=["face"]).set_index("name")
    table = table.drop(columns="better_than_best")  # of equal ones, one may be the best
    assert fitted.count("RidgeHead/face") == 1
    assert table.loc["again/face"].tolist() == pytest.approx(
        table.loc["ridge/face"].tolist(), nan_ok=True
    )


def test_a_damaged_result_is_fitted_again(project, fitted):
    compare(encoders=["face"], heads=["ridge"])
    for path in (project.folder / "cache" / "results").glob("*.npz"):
        path.write_bytes(path.read_bytes()[:-5])
    fitted.clear()
    compare(encoders=["face"], heads=["ridge"])
    assert fitted == ["MeanHead/duration", "RidgeHead/duration", "RidgeHead/face"]


def test_code_that_changes_meanwhile_ends_the_run_and_keeps_nothing(project, fitted, monkeypatch):
    versions = iter(["code", "code of a minute later"])
    monkeypatch.setattr("pipeline.fits.fit_cache.code_digest", lambda: next(versions))
    with pytest.raises(user_errors(), match="code of models/ was changed"):
        compare()
    assert not list((project.folder / "cache").rglob("*.npz"))


def test_vectors_that_change_meanwhile_are_not_used(project, monkeypatch):
    project_changes = iter([True])

    def change(*_):
        if next(project_changes, False):
            project.write_vectors("face", seed=9)

    table = compare(encoders=["face"], heads=["ridge"], on_change=change)
    assert "was changed while it was used" in table.set_index("name")["error"]["ridge/face"]


def test_a_single_head_on_a_single_view_has_no_stack(project, fitted):
    assert "stack" not in compare(encoders=["face"], heads=["ridge"])["name"].tolist()


def test_labels_too_few_for_a_head_are_a_row(project, fitted):
    train = project.clips["split"] == "Train"
    people = project.clips.loc[train, "group"]
    project.clips.loc[train & (project.clips["group"] != people.iloc[0]), "awe"] = float("nan")
    project.write()
    table = compare(encoders=["face"], heads=["mean", "average"]).set_index("name")
    assert (table["error"] != "").all()


def test_labels_too_few_for_a_stack_are_a_row(project, fitted, monkeypatch):
    def refuse(*_, **__):
        raise DataError("too few people")

    monkeypatch.setattr("models.stack.stack_oof", refuse)
    errors = compare(encoders=["face"]).set_index("name")["error"]
    assert errors["stack"] == "too few people"
    assert (errors.drop("stack") == "").all()


def test_columns_of_the_label_table_are_baselines(project, fitted):
    rng = np.random.default_rng(0)
    project.clips["luck"] = rng.normal(size=len(project.clips)).round(3).astype(str)
    project.clips["secret"] = project.clips["awe"].map(str, na_action="ignore").astype("string")
    project.clips["country"] = rng.choice(["NA", "IT", "NL"], len(project.clips))
    project.content["evaluation"]["baselines"] = ["luck", "secret", "country"]
    project.write()
    table = compare(encoders=["face"], heads=["ridge"], targets=["awe"]).set_index("name")
    assert (table["error"] == "").all()
    scores = table["mean_pearson"]
    assert scores["baseline/secret"] > 0.99  # a number, also where it is written as text
    assert scores[["baseline/luck", "baseline/country"]].max() < 0.6


def test_a_failing_head_is_a_row_at_the_end_and_tried_again(project, monkeypatch):
    monkeypatch.setitem(HEADS, "raising", RaisingHead)
    for _ in range(2):
        board = last(encoders=["face"], heads=["raising", "ridge"])
        table = board.table()
        assert table["name"].iloc[-1] == "raising/face"
        assert table["error"].iloc[-1] == "RuntimeError: no good"
        assert table["mean_pearson"].isna().tolist() == [False] * 3 + [True]
    assert board.n_reused == 3
    assert "go_wrong" in board.entries["raising/face"].details


def test_slices_have_every_row_of_the_board(project, fitted):
    project.clips["country"] = [*"AAAABBBB"] * 5
    project.write()
    board = last(encoders=["face"], by="country")
    slices = board.slices
    assert (
        slices.groupby("slice", sort=False)["name"].apply(list).tolist()
        == [board.table()["name"].tolist()] * slices["slice"].nunique()
    )
    n_val = int((project.clips["split"] == "Val").sum())
    assert slices.drop_duplicates("slice")["n_rows"].sum() == n_val


def test_the_learning_curve_is_of_the_best_head_and_kept(project, fitted):
    board = last(encoders=["face"], learning_curve=True)
    assert board.curve_of == "ridge/face"
    curve = board.curve
    assert curve["n_people"].max() == project.clips.query("split == 'Train'")["group"].nunique()
    assert (curve["ci95_low"] < curve["ci95_high"]).all()
    fitted.clear()
    pd.testing.assert_frame_equal(last(encoders=["face"], learning_curve=True).curve, curve)
    assert fitted == []


def test_another_pooling_is_made_from_the_stores_once(project, fitted):
    for encoder in ("face", "voice"):
        project.write_store(encoder)
    compare(heads=["ridge"], pooling="mean,max/whole,halves")
    pooled = list((project.folder / "cache" / "results").glob("*.parquet"))
    assert len(pooled) == 2
    fitted.clear()
    compare(heads=["ridge"], pooling="mean,max/whole,halves")
    assert fitted == []
    compare(heads=["ridge"], encoders=["face"], pooling="mean/whole")
    assert fitted == ["RidgeHead/face"]
    assert len(list((project.folder / "cache" / "results").glob("*.parquet"))) == 3
