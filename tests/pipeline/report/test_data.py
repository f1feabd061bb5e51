import dataclasses
import json

import pandas as pd

from pipeline.report.data import data_warnings, label_table, split_table
from pipeline.report.results import run_record

IMPUTED = pd.DataFrame({"split": ["Val", "Val", "Test"], "all_missing": [False, True, False]})


def test_splits_are_counted(rows):
    clips = rows.clips.assign(has_audio=rows.clips["split"] == "Val")
    table = split_table(dataclasses.replace(rows, clips=clips), IMPUTED).set_index("split")
    assert table["clips"].sum() == len(clips)
    assert table.loc["Test", "labelled"] == 0
    val = table.loc["Val"]
    assert [val["with sound"], val["with video"]] == [val["clips"], 0]
    assert [val["lacking some features"], val["lacking all"]] == [2, 1]
    seconds = clips.loc[clips["split"] == "Val", "duration_s"]
    assert val["hours"] == round(seconds.sum() / 3600, 2)
    assert val["people"] == clips.loc[clips["split"] == "Val", "group"].nunique()
    assert label_table(rows, ["joy", "awe"])["split"].tolist() == ["Train", "Val"] * 2


def test_what_makes_scores_worthless_is_said_and_of_a_sound_table_only_its_few_people(rows, params):
    said = "{} has labels of 5 people only: its intervals say little"
    assert data_warnings(rows, params.targets) == [said.format("Train"), said.format("Val")]
    clips = rows.clips.assign(group="p", sha256="ab")
    y = rows.y.copy()
    val = (clips["split"] == "Val").to_numpy()
    y[val, 0] = 5.0  # does not vary
    said = " / ".join(data_warnings(dataclasses.replace(rows, clips=clips, y=y), params.targets))
    for part in (
        "1 people have clips in several splits (p)",
        "the same files in several splits",
        f"labels that do not vary: {params.targets[0]}",
    ):
        assert part in said


def test_what_a_run_is_made_of_fits_into_json(params):
    outputs = [[f"f{n}", 1] for n in range(5)]
    stores = {
        "clip": {"identity": "ab", "weights_digest": "cd", "versions": {"torch": "1", "av": "2"}},
        "egemaps": {"identity": "ef", "versions": {"torch": "3"}, "outputs": outputs},
    }
    record = json.loads(json.dumps(run_record(params, stores, {"data/clips.parquet": "gh"})))
    clip = {"model": "ViT-B-32", "weights": "random", "weights_digest": "cd", "identity": "ab"}
    assert record["encoders"]["clip"] == {"kind": "open_clip", "outputs": "n/a", **clip}
    egemaps = record["encoders"]["egemaps"]
    assert (egemaps["outputs"], egemaps["weights_digest"]) == ("5: f0, f1, f2, f3 …", "n/a")
    assert record["versions"]["av"] == "2"
    assert {"1", "3"} <= set(record["versions"]["torch"].split(", "))  # both, and that of here
    assert record["files"] == {"data/clips.parquet": "gh"}
