import json

import numpy as np
import pandas as pd
import pytest

from models.evaluation.bootstrap import bootstrap_scores
from models.metrics import mean_pearson
from pipeline.fits.fit_cache import FitCache
from pipeline.fits.result_cache import default_result_folder
from pipeline.params import ParamsError
from pipeline.systems.files import write_files
from pipeline.systems.published import PUBLISHED
from pipeline.systems.run import run_systems
from pipeline.systems.tables import gains_table, systems_table


def last(systems, **settings):
    *_, board = run_systems(systems, **settings)
    return board


def test_ours_stand_beside_the_published_ones(systems_project, fitted):
    systems = systems_project.load()
    table = systems_table(last(systems), systems).set_index("system")
    others = [name for name in PUBLISHED if name != "paper, ResNet50"]
    assert list(table.index) == [
        *("eyes", "body", "both", "vision", "sound", "vision+sound"),
        *("stack", "baseline/mean", "baseline/duration", *others),
    ]
    ours = table[table["kind"] != "published"]
    assert ours["mean_pearson"].notna().all()
    assert (ours["ci95_low"] <= ours["ci95_high"]).all()
    assert table["published_test"]["eyes"] == "0.4080"
    assert table["source"]["eyes"] == "the paper, pre-trained ResNet50"
    assert table["published_test"]["body"] == "not available"
    assert table["note"]["both"] == "as is"
    published = table.loc[others]
    assert published["mean_pearson"].isna().all()
    assert (published["source"] != "").all()
    assert ((published["published_val"] + published["published_test"]) != "").all()
    assert len(fitted) == 2 + 3 + 3  # baselines, systems, subsets
    fitted.clear()
    last(systems)
    assert fitted == []


def test_what_sound_adds_is_what_a_direct_computation_gives(systems_project, fitted):
    systems = systems_project.load()
    board = last(systems)
    gained = gains_table(board, systems).set_index(["modality", "added_to"])
    assert list(gained.index) == [("vision", "sound"), ("sound", "vision")]
    plan = board.plan
    cache = FitCache(plan.rows, default_result_folder())
    jobs = {job.name: job for job in plan.jobs}
    views = {"both": "ridge/face+posture+voice", "vision": "ridge/face+posture"}
    predicted = {
        name: cache.get_fit(cache.key(jobs[row])).predictions[plan.scored]
        for name, row in views.items()
    }
    y, people = plan.rows.y[plan.scored], plan.rows.people[plan.scored]
    point = {name: mean_pearson(y, each) for name, each in predicted.items()}
    resampled = bootstrap_scores(
        y, np.stack(list(predicted.values())), people, 100, plan.params.seed
    )
    low, high = np.quantile(resampled[0] - resampled[1], [0.025, 0.975])
    row = gained.loc[("sound", "vision")]
    assert row["gain"] == pytest.approx(point["both"] - point["vision"], abs=1e-6)
    assert (row["ci95_low"], row["ci95_high"]) == pytest.approx((low, high), abs=1e-6)


def test_files_hold_the_same_and_say_whose_data(systems_project, fitted, tmp_path):
    systems = systems_project.load()
    board = last(systems, split="oof")
    folder = tmp_path / "out"
    files = write_files(board, systems, folder)
    assert sorted(folder.iterdir()) == sorted(files)
    table = pd.read_csv(folder / "systems.csv", dtype={"published_test": str})
    content = json.loads((folder / "systems.json").read_text())
    assert [row["system"] for row in content["systems"]] == table["system"].tolist()
    assert table.set_index("system")["published_test"]["eyes"] == "0.4080"
    assert content["split"] == "oof"
    page = (folder / "systems.md").read_text()
    assert "Published figures are of Hume-Reaction" in page
    assert "data/demo/labels.csv" in page
    assert page.count("| (") == len(PUBLISHED) - 1
    assert "What a modality adds (ridge; paired" in page


def test_an_unknown_head_is_refused(systems_project, fitted):
    systems_project.content["systems"]["eyes"]["head"] = "ridges"
    with pytest.raises(ParamsError, match="unknown head 'ridges'; did you mean 'ridge'"):
        last(systems_project.load())


def test_a_failed_system_is_a_row_that_says_why(systems_project, monkeypatch):
    from models.heads import HEADS
    from tests.pipeline.compare.odd_heads import RaisingHead

    monkeypatch.setitem(HEADS, "raising", RaisingHead)
    systems_project.content["modality_head"] = "raising"
    systems = systems_project.load()
    board = last(systems)
    table = systems_table(board, systems).set_index("system")
    assert table["note"]["vision"] == "failed: RuntimeError: no good"
    assert np.isnan(table["mean_pearson"]["vision"])
    assert gains_table(board, systems).empty
