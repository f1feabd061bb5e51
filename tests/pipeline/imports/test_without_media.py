import numpy as np
import pandas as pd
import yaml

from features.store import read_store
from pipeline import stages
from pipeline.doctor import examine
from tests.pipeline.conftest import TARGETS
from tests.pipeline.imports.conftest import import_json


def write_features(labels: pd.DataFrame, folder) -> None:
    """Features over time of all clips but one, and of whole clips of all but two."""
    rng = np.random.default_rng(2)
    truth = np.nan_to_num(labels[TARGETS].to_numpy())
    (folder / "fau").mkdir()
    for clip_id, row in zip(labels["clip_id"].str.strip("[]"), truth, strict=True):
        rows = row + 0.2 * rng.normal(size=(4, 3))
        table = pd.DataFrame(rows, columns=["AU01", "AU02", "AU04"])
        table.insert(0, "timestamp", np.arange(4) * 250)
        if clip_id != "00004":
            table.to_csv(folder / "fau" / f"{clip_id}.csv", index=False)
    whole = truth @ rng.normal(size=(3, 5)) + 0.2 * rng.normal(size=(len(truth), 5))
    np.savez(folder / "clap.npz", x=whole[2:], ids=labels["clip_id"][2:].to_numpy(str))


def test_labels_and_features_are_enough_for_predictions(folder):
    labels = pd.read_csv(folder / "labels.csv")
    write_features(labels, folder)
    content = yaml.safe_load((folder / "params.yaml").read_text())
    content |= {"encoders": None, "demo": None}
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    import_json("features", folder / "fau", "--name", "fau")
    import_json("features", folder / "clap.npz", "--name", "clap")
    content = yaml.safe_load((folder / "params.yaml").read_text())
    assert content["encoders"] == content["demo"] == {}  # sections that DVC follows
    content["evaluation"]["slices"] = ["duration_s", "group"]
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    for stage in (stages.index, stages.extract, stages.pool):
        stage()
    missing = pd.read_parquet(folder / "data/pooled/fau.failures.parquet")
    assert missing.to_numpy().tolist() == [["[00004]", "stream", "no features"]]
    assert read_store(folder / "data/pooled/fau.parquet").embedding.shape == (39, 3 * 2 * 3)
    assert read_store(folder / "data/pooled/clap.parquet").embedding.shape == (38, 5)
    stages.folds()
    stages.baseline()
    stages.fit("ridge")
    for stage in (stages.stack, stages.evaluate, stages.learning_curve, stages.report):
        stage()
    predictions = pd.read_csv(folder / "results/predictions.csv")
    held = labels.loc[labels["split"] != "Train", "clip_id"]
    assert predictions.columns.tolist() == ["File_ID", *TARGETS]
    assert sorted(predictions["File_ID"]) == sorted(held)
    assert predictions.notna().all(axis=None)
    board = pd.read_csv(folder / "results/leaderboard.csv").set_index("name")
    assert board["val_mean_pearson"]["ridge/fau"] > 0.5
    assert board["val_mean_pearson"]["baseline/duration"] == 0
    assert "data/imports/features/fau" in (folder / "results/report.html").read_text()
    assert {finding.subject: finding for finding in examine()}["stores.fau"].ok
