"""The whole pipeline under DVC, on a small corpus: what runs again, and what does not.

The tests share one project and build on each other, in this order: a run of its own for each would
take minutes.
"""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch
import yaml

from pipeline.params import RESERVED
from tests.media import write_clip
from tests.pipeline.checkouts import ROOT, Checkout
from tests.pipeline.commands import eri

LATER = "weights/later.pth"
PLOTS = yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"]
DOWNSTREAM = ["stack", "bundle", "evaluate", "learning_curve", "report"]


class Project(Checkout):
    """A checkout with a corpus."""

    def eri(self, *arguments: str, status: int = 0) -> str:
        with self.entered():
            shown = eri(*arguments, status=status)
        return shown.output or str(shown.exception)

    def labels(self, name: str = "corpus/labels.csv") -> pd.DataFrame:
        return pd.read_csv(self.folder / name, dtype={"clip_id": str})

    def result(self, name: str) -> Path:
        return self.folder / "results" / name


def stages_run(output: str) -> list[str]:
    return re.findall(r"Running stage '([^']+)'", output)


def computed(output: str) -> dict[str, int]:
    return {name: int(n) for name, n in re.findall(r"(\w+): .*; (\d+) computed now", output)}


def small_params() -> dict:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["targets"] = ["Amusement", "Fear"]
    content["data"] |= {"labels": "corpus/labels.csv", "media": "corpus"}
    content["sampling"]["frame_rate_hz"] = 1
    content["encoders"] = {
        "face": {"kind": "timm", "model": "test_vit", "weights": "random"},
        "voice": {"kind": "opensmile", "model": "eGeMAPSv02"},
        "later": {"kind": "timm", "model": "test_resnet", "weights": LATER, "optional": True},
    }
    content["folds"]["n_folds"] = 3
    content["heads"] = {
        "ridge": {"kind": "ridge", "alphas": [0.01, 0.1, 1]},
        "trees": {"kind": "lightgbm", "n_rounds": 10},
    }
    content["evaluation"] = {"n_resamples": 100, "slices": ["duration_s"]}
    return content


def write_corpus(folder: Path, targets: list[str]) -> None:
    """Write clips whose brightness tells the targets, of a person each, and their labels."""
    rng = np.random.default_rng(0)
    splits = ["Train"] * 10 + ["Val"] * 3 + ["Test"] * 3
    labels = pd.DataFrame({"clip_id": [f"{n:03d}" for n in range(len(splits))], "split": splits})
    labels["path"], labels["group"] = "clips/" + labels["clip_id"] + ".mp4", "p" + labels["clip_id"]
    levels = rng.integers(20, 230, len(labels))
    for number, (path, level) in enumerate(zip(labels["path"], levels, strict=True)):
        write_clip(folder / path, n_frames=4, level=int(level), sound_s=0.4 + number / 100)
    labels[targets] = (levels / 250)[:, None] + rng.normal(0, 0.05, (len(labels), len(targets)))
    labels.loc[labels["split"] == "Test", targets] = np.nan
    labels.to_csv(folder / "labels.csv", index=False)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose corpus lacks its last clip, run once."""
    folder = tmp_path_factory.mktemp("project")
    project = Project(folder, ERI_CACHE=str(folder / "cache"))
    project.copy_code()
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    content = small_params()
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    write_corpus(folder / "corpus", content["targets"])
    labels = project.labels()
    labels.to_csv(folder / "all_labels.csv", index=False)
    labels[:-1].to_csv(folder / "corpus/labels.csv", index=False)
    project.git("init -q")
    project.dvc("init -q")
    shutil.copytree(ROOT / ".dvc/plots", folder / ".dvc/plots", dirs_exist_ok=True)
    project.git("add -A", "commit -qm start")
    project.first_output = project.run_stages()
    project.dvc("commit --quiet --force --with-deps dvc.yaml")
    project.git("add -A", "commit -qm results")
    return project


def test_the_first_run_ends_with_the_leaderboard_and_the_files(project):
    output = project.first_output
    assert not list((project.folder / "data/demo").iterdir())  # the data are not the demo's
    assert re.search(r"stack +[+-]0\.\d{3} \[", output)
    assert "Encoders with random weights: face" in output
    for name in ("report.html", "model_card.md", "leaderboard.csv", "metrics.json", "imputed.csv"):
        assert f"results/{name}" in output
        assert project.result(name).is_file()


def test_an_encoder_without_its_weights_is_left_out_and_said_so(project):
    folder, note = project.folder, "LEFT OUT of this run: later, whose weights cannot be had"
    failures = pd.read_parquet(folder / "data/features/later.failures.parquet")
    assert list(failures["clip_id"]) == list(project.labels()["clip_id"])
    assert set(failures["step"]) == {"weights"}
    assert f"there is no weights file {LATER}" in failures["reason"].iloc[0]
    assert f"later is LEFT OUT: there is no weights file {LATER}" in project.first_output
    assert project.first_output.count(note) == 2  # after extraction, and with the leaderboard
    for page in ("report.html", "model_card.md"):
        assert note in project.result(page).read_text(encoding="utf-8")
    assert note in project.eri("compare", "--heads", "ridge", "--encoders", "face")
    assert note in project.eri("compare", "--encoders", "face+later", status=1)


def test_every_held_out_clip_is_predicted_in_the_challenge_s_format(project):
    predictions = pd.read_csv(project.result("predictions.csv"), dtype={"File_ID": str})
    labels = project.labels()
    assert predictions.columns.tolist() == ["File_ID", *small_params()["targets"]]
    assert set(predictions["File_ID"]) == set(labels.loc[labels["split"] != "Train", "clip_id"])
    assert predictions.notna().all(axis=None)
    for name in ("face", "voice"):  # every clip is embedded or listed
        stored = list(set(pd.read_parquet(project.folder / "data/features" / name)["clip_id"]))
        failed = pd.read_parquet(project.folder / f"data/features/{name}.failures.parquet")
        assert sorted([*stored, *failed["clip_id"]]) == sorted(labels["clip_id"])
    file = str(project.result("predictions.csv"))
    assert "as the challenge wants it" in project.eri("check-submission", file)


def test_every_column_beside_targets_is_a_name_that_no_target_may_have(project):
    targets, of_labels = set(small_params()["targets"]), set(project.labels().columns)
    n_tables = 0
    for folder in ("data", "results"):
        for path in (project.folder / folder).rglob("*"):
            if path.suffix in (".csv", ".parquet"):
                read = pd.read_csv if path.suffix == ".csv" else pd.read_parquet
                columns = set(read(path).columns)
                if targets <= columns:
                    n_tables += 1
                    assert columns - targets - of_labels <= RESERVED, path
    assert n_tables >= 5


def test_the_same_seed_gives_the_same_bytes(project):
    for name in ("cache", "data", "results"):
        shutil.rmtree(project.folder / name)
    output = project.run_stages()
    assert computed(output)["face"] == len(project.labels())
    assert "up to date" in project.dvc("status dvc.yaml")


def test_a_head_s_parameter_reruns_that_head_and_what_follows(project):
    output = project.dvc("exp run -S heads.ridge.alphas=[0.1,1]")
    assert sorted(stages_run(output)) == sorted(["fit@ridge", *DOWNSTREAM])


def test_two_revisions_are_compared_by_dvc_in_every_plot(project):
    output = project.dvc("params diff HEAD", "metrics diff HEAD", "plots diff HEAD")
    assert "heads.ridge.alphas" in output
    assert re.search(r"heads\.ridge/\S+\.mean_pearson", output)
    text = Path(output.strip().rpartition("file://")[2]).read_text(encoding="utf-8")
    specs = re.findall(r"var spec = (\{.*?\});\s*vegaEmbed", text, re.DOTALL)
    assert len(specs) == len(PLOTS)
    assert "DVC_METRIC" not in text  # every anchor of the templates is filled
    assert all(f'"rev": "{rev}"' in spec for spec in specs for rev in ("HEAD", "workspace"))


def test_features_change_nothing_of_the_folds_until_people_are_found_by_faces(project):
    path = project.folder / "params.yaml"
    before = path.read_text()
    content = yaml.safe_load(before)
    del content["encoders"]["voice"]  # leaves nothing to compute
    path.write_text(yaml.safe_dump(content))
    assert stages_run(project.dvc("repro folds")) == ["extract", "folds"]
    content["people"] = {"source": "faces", "encoder": "face", "threshold": 1e-6}
    path.write_text(yaml.safe_dump(content))
    output = project.dvc("repro folds", "metrics show data/people.json")
    assert stages_run(output) == ["folds"]
    assert "silhouette" in output
    record = json.loads((project.folder / "data/people.json").read_text())
    assert record["agreement_with_groups"]["n_rows"] == len(project.labels())
    path.write_text(before)


def test_weights_that_have_come_are_taken_by_the_command_that_the_note_names(project):
    assert "`dvc repro -fs extract && dvc repro`" in project.first_output
    weights = project.folder / LATER
    weights.parent.mkdir()
    torch.save(timm.create_model("test_resnet", num_classes=0).state_dict(), weights)
    output = project.dvc("repro -fs extract", "repro pool")
    assert computed(output) == {"face": 0, "voice": 0, "later": len(project.labels())}
    assert "LEFT OUT" not in output
    assert stages_run(output) == ["extract", "pool"]
    assert (project.folder / "data/pooled/later.parquet").is_file()


def test_adding_a_clip_embeds_one_and_removing_or_renaming_none(project):
    labels, corpus = project.labels("all_labels.csv"), project.folder / "corpus"
    (corpus / labels["path"].iloc[1]).unlink()
    old = labels["path"].iloc[0]
    (corpus / old).rename(corpus / "clips" / "renamed.mp4")
    labels["path"] = labels["path"].replace(old, "clips/renamed.mp4")
    labels.drop(index=1).to_csv(corpus / "labels.csv", index=False)
    output = project.dvc("repro extract")
    assert stages_run(output) == ["index", "extract"]
    assert computed(output) == {"face": 1, "voice": 1, "later": 1}


def test_too_many_damaged_clips_stop_the_run(project):
    clips = sorted((project.folder / "corpus" / "clips").glob("*.mp4"))
    for clip in clips[:3]:
        clip.write_bytes(clip.read_bytes()[:200])
    output = project.dvc("repro index", status=255)
    assert "error: files: 3 of 15 clips failed, more than `data.max_failed_share` (0.05)" in output
    assert "Traceback" not in output
