import json

import numpy as np
import pytest

from features.cache import EmbeddingCache
from features.store import StoredClip, write_store
from pipeline.result_cache import digest_of, keep_result, result_file
from tests.features.stored import embedding
from tests.pipeline.commands import eri

ONE = "1" * 32
DESCRIPTION = {"spec": {"kind": "k", "model": "m", "weights": "w"}, "identity": ONE}


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("ERI_CACHE", str(tmp_path / "cache"))
    EmbeddingCache(tmp_path / "cache", ONE, DESCRIPTION).put("a" * 64, embedding())
    return tmp_path / "cache"


def run(*arguments: str, status: int = 0) -> str:
    return eri("store", *arguments, status=status).stdout


def test_seed_takes_a_store_and_ls_shows_what_is_cached(root, tmp_path):
    line = run("ls").splitlines()[1]
    assert line.split()[:2] == [ONE, "1"]
    assert line.endswith("k m w")
    write_store(tmp_path / "store", [StoredClip("x", "b" * 64, embedding(seed=2))], DESCRIPTION)
    assert "1 clips that were not cached" in run("seed", str(tmp_path / "store"))
    (entry,) = json.loads(run("ls", "--json"))
    assert (entry["identity"], entry["n_clips"]) == (ONE, 2)


def test_verify_fails_on_damage_and_gc_clears_it_up(root):
    assert "1 embeddings, 0 damaged" in run("verify")
    (path,) = root.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    assert f"{path}: damaged" in run("verify", status=1)
    (damaged,) = json.loads(run("verify", "--json", status=1))["damaged"]
    assert damaged["path"] == str(path)
    assert f"removed {path}" in run("gc")
    assert "0 damaged" in run("verify")


def test_gc_leaves_nothing_of_a_person(root):
    keep_result(digest_of(fit=1), {"predictions": np.ones((2, 3))})
    result_file(digest_of(vectors=1), ".parquet").write_bytes(b"clips and their vectors")
    assert "removed 0 fits" in run("gc")
    said = json.loads(run("gc", "--unused-for-days", "0", "--json"))
    assert said["removed"] == [ONE]
    assert said["n_results_removed"] == 2
    assert said["n_bytes_freed"] > 0
    assert [path for path in root.rglob("*") if path.is_file()] == []
