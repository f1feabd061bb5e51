from dataclasses import replace

import numpy as np
import pytest

import pipeline.fit as fit_module
from models.arrays import DataError
from models.heads import HEADS
from models.persistence import loads
from pipeline import result_cache, stages
from pipeline.clip_table import read_rows
from pipeline.fit import Fitting, baseline_tasks, head_task
from pipeline.params import HeadEntry, ParamsError, load_params
from pipeline.paths import BASELINES, OOF, POOLED, fitted_head
from pipeline.views import join_tables, read_prediction_table

QUICK = {"lightgbm": {"n_rounds": 5}, "mlp": {"max_epochs": 3, "n_seeds": 1}}
QUICK |= {"random_trees": {"n_trees": 5}}
LABELS = ["joy", "fear", "awe"]


@pytest.fixture(autouse=True)
def the_same_code(monkeypatch):
    """Others may edit the code while tests run."""
    for name in ("code_digest", "_code_in_use"):
        monkeypatch.setattr(fit_module, name, lambda: "code")


@pytest.fixture
def read(project):
    """Read the project's parameters, rows and the task of a head on both encoders."""

    def read(kind="ridge", view="face+voice"):
        project.content["heads"]["head"] = {"kind": kind, **QUICK.get(kind, {})}
        project.write()
        params = load_params()
        return params, read_rows(params), head_task("head", view, params)

    return read


def is_test(rows):
    return (rows.clips["split"] == "Test").to_numpy(bool)


@pytest.mark.parametrize("kind", sorted(HEADS))
def test_every_clip_is_predicted_by_the_head_that_is_kept_or_out_of_fold(read, kind):
    _, rows, task = read(kind)
    fitting, n, test = Fitting(rows), rows.n_train, is_test(rows)
    task = replace(task, with_head=True)
    fit, x = fitting.fit(task), join_tables(task.files, rows.clip_ids)
    np.testing.assert_allclose(loads(fit.head).predict(x[n:]), fit.predictions[n:], rtol=1e-5)
    changed = rows.y.copy()
    fold = rows.fold_of_row == 0
    changed[:n][fold] = 1 - changed[:n][fold]
    other = Fitting(replace(rows, y=changed)).fit(task)
    np.testing.assert_allclose(other.predictions[:n][fold], fit.predictions[:n][fold], rtol=1e-5)
    assert not fit.reused
    assert not other.reused
    # A plain fit, which predicts Test only.
    refit = fitting.fit(replace(task, refit_on="train+val"))
    assert refit.predictions[~test].tobytes() == fit.predictions[~test].tobytes()
    plain = task.make_head().fit(x[~test], rows.y[~test], rows.people[~test]).predict(x[test])
    np.testing.assert_array_equal(refit.predictions[test], plain)
    np.testing.assert_array_equal(loads(refit.head).predict(x[test]), plain)
    assert not np.array_equal(plain, fit.predictions[test])


def test_no_label_of_val_reaches_a_prediction_of_val(project, read):
    _, rows, task = read()
    before = Fitting(rows).fit(replace(task, refit_on="train+val"))
    val = project.clips["split"] == "Val"
    project.clips.loc[val, "joy"] = 1 - project.clips.loc[val, "joy"]
    _, rows, task = read()
    after, test = Fitting(rows).fit(replace(task, refit_on="train+val")), is_test(rows)
    assert not after.reused
    assert after.predictions[~test].tobytes() == before.predictions[~test].tobytes()
    changed = after.predictions[test] != before.predictions[test]
    assert changed.any(axis=0).tolist() == [True, False, False]  # joy comes first


def test_unlabelled_clips_of_val_are_left_out_of_a_refit_and_without_labels_it_is_refused(
    project, read
):
    val = project.clips.index[project.clips["split"] == "Val"]
    project.clips.loc[val[1:], LABELS] = np.nan
    _, rows, task = read()
    used, test = np.isfinite(rows.y).all(axis=1), is_test(rows)
    assert used.sum() == rows.n_train + 1
    x = join_tables(task.files, rows.clip_ids)
    head = task.make_head().fit(x[used], rows.y[used], rows.people[used])
    refit = Fitting(rows).fit(replace(task, refit_on="train+val"))
    np.testing.assert_array_equal(refit.predictions[test], head.predict(x[test]))
    project.clips.loc[val, LABELS] = np.nan
    _, rows, task = read()
    with pytest.raises(ParamsError, match="train.val, but no clip of Val is labelled.*to train"):
        Fitting(rows).fit(replace(task, refit_on="train+val"))


def test_what_was_fitted_is_not_fitted_again(read, monkeypatch):
    _, rows, task = read()
    task = replace(task, with_head=True)
    tasks = [task, replace(task, refit_on="train+val")]
    first = [Fitting(rows).fit(each) for each in tasks]
    monkeypatch.setattr(HEADS["ridge"], "cross_fit", lambda *_: pytest.fail("fitted again"))
    monkeypatch.setattr(HEADS["ridge"], "fit", lambda *_: pytest.fail("fitted again"))
    again = [Fitting(rows).fit(each) for each in tasks]
    for one, other in zip(first, again, strict=True):
        assert other.reused
        assert one.predictions.tobytes() == other.predictions.tobytes()
        assert one.head == other.head
    assert Fitting(rows).known(task).reused


def test_all_that_changes_predictions_changes_the_key(project, read):
    params, rows, task = read()
    key = Fitting(rows).key(task)
    changes = [
        {"y": rows.y + 0.01},
        {"people": np.where(np.arange(len(rows.people)), rows.people, "another")},
        {"fold_of_row": (rows.fold_of_row + 1) % 3},
        {"clips": rows.clips.assign(clip_id=[*rows.clip_ids[1:], "new"])},
        {"clips": rows.clips.assign(split=rows.clips["split"].replace("Val", "Test"))},
    ]
    keys = [Fitting(replace(rows, **each)).key(task) for each in changes]
    tasks = [replace(task, seed=1), head_task("head", "face", params)]
    tasks += [replace(task, head=HeadEntry(kind="ridge", alphas=[1])), *baseline_tasks(params)]
    keys += [Fitting(rows).key(each) for each in tasks]
    project.write_vectors("voice", seed=1)
    keys.append(Fitting(rows).key(task))
    assert len({key, *keys}) == 1 + len(keys)
    project.write_vectors("voice")
    assert Fitting(read_rows(params)).key(head_task("head", "face+voice", params)) == key


def test_code_and_files_that_change_while_they_are_used_are_an_error(project, read, monkeypatch):
    _, rows, task = read()
    fitting = Fitting(rows)
    monkeypatch.setattr(fit_module, "code_digest", lambda: "other code")
    with pytest.raises(ParamsError, match=r"the code of models/ was changed.*start again"):
        fitting.fit(task)
    assert fitting.known(task) is None

    def join(files, clip_ids):
        project.write_vectors("face", seed=1)
        return join_tables(files, clip_ids)

    monkeypatch.setattr(fit_module, "join_tables", join)
    with pytest.raises(DataError, match="changed while in use: start again"):
        Fitting(rows).fit(task)


def test_every_file_of_the_code_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(result_cache, "_ROOT", tmp_path)
    names = ("models/head.py", "models/heads/other.py", "pipeline/fit.py", "pipeline/views.py")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1")
    seen = {result_cache.code_digest()}
    for name in names:
        (tmp_path / name).write_text("x = 2")
        seen.add(result_cache.code_digest())
    assert len(seen) == 1 + len(names)


def test_the_stages_keep_their_heads_and_hand_the_refit_on(project, read, capsys):
    project.content["final"] = {"refit_on": "train+val"}
    params, rows, _ = read()
    for head, n_new in (("ridge", 3), ("average", 3), ("head", 0)):  # that one is a ridge, too
        for expected in (n_new, 0):
            stages.fit(head)
            said = capsys.readouterr().out.splitlines()[-3:]
            assert sum("as fitted before" not in line for line in said) == expected
    stages.baseline()
    test, x = is_test(rows), join_tables([POOLED / "face.parquet"], rows.clip_ids)
    ridge = read_prediction_table(OOF / "ridge.parquet", rows, params.targets)["face"]
    kept = loads(fitted_head("ridge", "face").read_bytes())
    np.testing.assert_allclose(kept.predict(x[test]), ridge[test], rtol=1e-5)
    mean = rows.y[np.isfinite(rows.y).all(axis=1)].mean(axis=0)  # of Train and Val
    means = read_prediction_table(BASELINES, rows, params.targets)["mean"]
    np.testing.assert_allclose(means[test], np.tile(mean, (test.sum(), 1)))
