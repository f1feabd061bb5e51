"""Heads on a cluster, which is this machine: the numbers are those of heads fitted here."""

import numpy as np
import pandas as pd
import pytest

from pipeline import stages
from pipeline.compare import compare
from pipeline.params import load_params
from pipeline.tune import tune

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module", autouse=True)
def cluster(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(request.config.rootpath))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        memory = 100 * 2**20
        ray.init("local", num_cpus=1, include_dashboard=False, object_store_memory=memory)
        yield
        ray.shutdown()


def test_compare_tune_and_the_stage_give_the_same_on_a_cluster(project, monkeypatch):
    heads = project.content["heads"]
    heads["kernel"] = {"kind": "kernel_ridge"}
    project.write()
    here, trials = compare(heads=["ridge", "pls"]), tune(load_params(), "kernel", 3)
    stages.fit("ridge")
    fitted = pd.read_parquet("results/oof/ridge.parquet")

    monkeypatch.setenv("ERI_CACHE", str(project.folder / "cache2"))
    (project.folder / "results/tune/kernel.journal").unlink()
    project.content["execution"] = {"cluster": "ray"}
    project.write()
    there = compare(heads=["ridge", "pls"], on="ray")
    left_out = ["fit_s", "better_than_best"]
    pd.testing.assert_frame_equal(
        there.drop(columns=left_out), here.drop(columns=left_out), rtol=0, atol=1e-6
    )
    again = tune(load_params(), "kernel", 3, on="ray")
    assert [each.settings for each in again] == [each.settings for each in trials]
    scores = [[each.score for each in made] for made in (again, trials)]
    np.testing.assert_allclose(*scores, rtol=0, atol=1e-6)
    stages.fit("ridge")
    pd.testing.assert_frame_equal(
        pd.read_parquet("results/oof/ridge.parquet"), fitted, rtol=0, atol=1e-6
    )
