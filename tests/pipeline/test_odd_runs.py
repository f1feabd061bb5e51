"""Runs of few clips, of labels that do not vary, and of odd names, from fits to the report."""

import json
import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from pipeline import stages
from pipeline.clip_table import make_folds
from pipeline.leaderboard import UNSCORED_NOTE
from pipeline.params import load_params
from pipeline.paths import (
    LEADERBOARD,
    METRICS,
    MODEL_CARD,
    PEOPLE,
    PREDICTIONS,
    REPORT,
    fitted_head,
)
from pipeline.settings_files import yaml_text
from tests.pipeline.commands import eri

NO_NUMBER = re.compile(r"(?<![A-Za-z])[+-]?(nan|inf)(?![A-Za-z])", re.IGNORECASE)


@pytest.fixture
def finish(project, fitted, monkeypatch):
    """Run what follows the clip vectors on other clips; give what was printed at the end."""

    monkeypatch.setattr("pipeline.systems.extract_features", lambda *_: {})

    def run(clips, targets, capsys, heads=("ridge",)):
        heard = {"encoders": ["voice"], "head": heads[-1]}
        project.clips = clips.assign(**clips[["clip_id"]].astype(str))
        project.content |= {"targets": list(targets), "folds": {"n_folds": 2}}
        project.content["encoders"] = {"voice": {"kind": "opensmile", "model": "eGeMAPSv02"}}
        project.content["heads"] = {head: {"kind": head} for head in heads}
        project.content["evaluation"] = {"n_resamples": 50, "slices": ["duration_s", "country"]}
        data = project.folder / "data"
        (project.folder / "params.yaml").write_text(yaml_text(project.content), encoding="utf-8")
        project.clips.to_parquet(data / "clips.parquet")
        make_folds(project.clips, load_params()).to_parquet(data / "folds.parquet")
        project.write_vectors("voice")
        project.write_store("voice")
        no_failures = pd.DataFrame({"clip_id": [], "step": [], "reason": []}, dtype=str)
        no_failures.to_parquet(data / "features/voice.failures.parquet")
        PEOPLE.write_text('{"warnings": []}')
        stages.baseline()
        for head in heads:
            stages.fit(head)
        for stage in (stages.stack, stages.evaluate, stages.learning_curve):
            stage()
        capsys.readouterr()
        stages.report()
        said = [capsys.readouterr().out]
        (project.folder / "systems.yaml").write_text(yaml_text({"systems": {"heard": heard}}))
        for arguments in ([], ["--json", "--split", "oof"]):
            said.append(eri("systems", *arguments).stdout)
            said.append(eri("compare", *arguments).stdout)
        ElementTree.fromstring(REPORT.read_text(encoding="utf-8"))
        return said

    return run


def clips_of(n_train, n_val=0, n_test=0, people=None):
    n = n_train + n_val + n_test
    rng = np.random.default_rng(0)
    clips = pd.DataFrame({"clip_id": [f"c{k}" for k in range(n)]})
    clips["split"] = ["Train"] * n_train + ["Val"] * n_val + ["Test"] * n_test
    clips["group"] = [f"p{k % (people or n)}" for k in range(n)]
    clips["country"], clips["duration_s"] = rng.choice(["A", "B"], n), rng.uniform(1, 4, n)
    clips[["joy", "fear"]] = rng.uniform(size=(n, 2))
    clips.loc[clips["split"] == "Test", ["joy", "fear"]] = np.nan
    return clips


@pytest.mark.parametrize(
    ("table", "split", "heads"),
    [
        (clips_of(2), None, ["mean", "lightgbm"]),
        (clips_of(3, 1), "oof", ["ridge"]),  # a single clip of Val says nothing
        (clips_of(12), "oof", ["mean", "lightgbm"]),
        (clips_of(10, 1, 3), "oof", ["ridge"]),
        (clips_of(6, 2, 2), "val", ["mean", "lightgbm"]),
        (clips_of(8, 4, people=2), "val", ["ridge"]),
        (clips_of(12, 4, 2).assign(joy=0.5), "val", ["mean", "lightgbm"]),
        (clips_of(12, 4, 2).assign(joy=0.5, fear=0.1), "val", ["ridge"]),
    ],
    ids=["two", "one-of-val", "train", "test", "few", "two-people", "constant", "all-constant"],
)
def test_what_few_clips_cannot_say_is_said_and_no_number(table, split, heads, finish, capsys):
    said = finish(table, ["joy", "fear"], capsys, heads)
    texts = [
        path.read_text(encoding="utf-8") for path in (REPORT, MODEL_CARD, METRICS, LEADERBOARD)
    ]
    for text in [*said, *texts]:
        visible = re.sub(r"<style>.*</style>", "", text, flags=re.DOTALL)
        assert not NO_NUMBER.search(visible), NO_NUMBER.search(visible)
    board = json.loads(texts[2])["stack"]
    scored = [name for name, each in board.items() if each["mean_pearson"] is not None]
    assert scored[:1] == ([] if split is None else [split])
    for text in (*said, *texts[:2]):
        assert (UNSCORED_NOTE in text) == (split is None)
    assert ("cannot be said" in texts[0]) == (split is None)
    if table["joy"].std() == 0:
        assert "labels that do not vary: joy" in texts[0]


ODD_NAMES = [
    *("no", "12:30", "ci95_high%", "Joy/Much", "1e5", "-5", "NaN", "all", "val_pearson_x", "datum"),
    *("a.b", "a[0]", "x\\y", "${x}", "{{ 7 * 7 }}", "pipe|d", "*star*", "_u_", "#1", "%d"),
    *("caf\u00e9", 'say "hi"', "it's", "<b>bold</b>", "&amp;", "joy, great", "tab\there"),
    *("long" * 60, "\u05e9\u05de\u05d7\u05d4", "\u202eevil", "\U0001f600"),
]


@pytest.mark.parametrize("first", range(0, len(ODD_NAMES), 14))
def test_targets_clips_and_people_of_any_name_keep_it(finish, capsys, first):
    targets = ODD_NAMES[first : first + 14]
    clips = clips_of(24, 6, len(targets)).drop(columns=["joy", "fear"])
    rng = np.random.default_rng(1)
    clips[targets] = rng.uniform(size=(len(clips), len(targets))).round(3)
    clips.loc[clips["split"] == "Test", targets] = np.nan
    clips.loc[clips.index[-len(targets) :], "clip_id"] = targets
    clips.loc[clips.index[:2], "group"] = "<script>p"
    clips["country"] = rng.choice(["<b>", "a.b"], len(clips))
    said = finish(clips, targets, capsys)
    page, card = REPORT.read_text(encoding="utf-8"), MODEL_CARD.read_text(encoding="utf-8")
    drawn = ["".join(each.itertext()) for each in ElementTree.fromstring(page).iter()]
    for target in targets:
        assert sum(target.strip()[:30] in text for text in drawn) > 3  # in figures and tables
        line = " ".join(target.split()).replace("<", "&lt;")
        assert line in card or line.replace("|", "\\|") in card
    assert "<script>p" not in page
    assert "<b>" not in page
    assert list(json.loads(METRICS.read_text())["stack"]["val"]["pearson"]) == targets
    assert {f"pearson_{target}" for target in targets} <= set(
        json.loads(said[-1])["leaderboard"][0]
    )
    predicted = pd.read_csv(PREDICTIONS, dtype=str, keep_default_na=False)
    assert list(predicted) == ["File_ID", *targets]
    assert predicted["File_ID"].tolist()[-len(targets) :] == targets


def test_a_view_of_many_encoders_has_a_file_of_its_own():
    views = ["+".join(f"an_encoder_with_a_long_name_{k}" for k in range(n)) for n in range(1, 20)]
    names = {fitted_head("ridge", view).name for view in views}
    assert len(names) == len(views)
    assert max(map(len, names)) <= 255
