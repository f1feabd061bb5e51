import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.encoders import EncoderError, make_encoder
from features.encoders.torch_encoder import TorchEncoder
from features.encoders.torch_model import TorchFrameModel
from features.extraction import (
    ExtractReport,
    embed_files,
    embedder,
    extract,
    index_files,
    workers,
)
from features.identity import Sampling
from features.pool import Pooling, pool_clips
from features.store import read_store
from tests.features import work

SAMPLING = Sampling(frame_rate_hz=5, sample_rate_hz=16000)


@pytest.fixture
def encoders(tiny_clip):
    def frames(seed: int):
        spec = {"kind": "open_clip", "model": tiny_clip, "weights": "random", "seed": seed}
        return make_encoder(spec)

    sound = make_encoder({"kind": "opensmile", "model": "eGeMAPSv02"})
    return {"one": frames(1), "two": frames(2), "sound": sound}


@pytest.fixture
def corpus(make_clip) -> dict[str, Path]:
    return {f"c{k}": make_clip(f"c{k}.mp4", n_frames=10 + k) for k in range(4)}


@pytest.fixture
def run(tmp_path, encoders):
    def run(paths: dict[str, Path], encoders=encoders, out: str = "out") -> ExtractReport:
        clips = index_files(paths, progress=False)
        return extract(
            clips,
            encoders,
            SAMPLING,
            tmp_path / out,
            cache_root=tmp_path / "cache",
            progress=False,
        )

    return run


def computed(report: ExtractReport) -> list[int]:
    return [report.n_computed[name] for name in ("one", "two", "sound")]


def bytes_of(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_every_clip_is_embedded_by_every_encoder(run, corpus, tmp_path):
    report = run(corpus)
    assert computed(report) == [4, 4, 4]
    store = read_store(tmp_path / "out" / "one")
    assert list(dict.fromkeys(store.clip_id)) == list(corpus)
    first = store.time_s[store.clip_id == "c0"]
    assert first == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert store.embedding.dtype == np.float16
    assert store.metadata["spec"]["weights"] == "random"
    sound = read_store(tmp_path / "out" / "sound")
    assert sound.embedding.shape == (4, 88)
    halves = Pooling(statistics=("mean", "std"), parts=("whole", "halves"))
    assert np.array_equal(pool_clips(sound, halves)[1], sound.embedding)  # nothing to pool


def test_a_second_run_decodes_nothing_and_writes_the_same_bytes(run, corpus, tmp_path, monkeypatch):
    run(corpus)

    class NoWorkers(embedder.Workers):
        def run(self, *_, **__):
            raise AssertionError("a cached run must not decode")

    monkeypatch.setattr(embedder, "Workers", NoWorkers)
    assert computed(run(corpus, out="again")) == [0, 0, 0]
    assert bytes_of(tmp_path / "again") == bytes_of(tmp_path / "out")


def test_one_more_clip_costs_one_embedding_per_encoder(run, corpus, make_clip):
    run(corpus)
    assert computed(run({**corpus, "new": make_clip("new.mp4", n_frames=7)})) == [1, 1, 1]


def test_removing_renaming_and_copying_cost_none(run, corpus, tmp_path):
    run(corpus)
    corpus.pop("c0")
    corpus["renamed"] = corpus.pop("c1").rename(tmp_path / "elsewhere.mp4")
    corpus["copy"] = shutil.copy(corpus["c2"], tmp_path / "copy.mp4")
    corpus["copy"] = Path(corpus["copy"])
    assert computed(run(corpus)) == [0, 0, 0]
    store = read_store(tmp_path / "out" / "one")
    assert list(dict.fromkeys(store.clip_id)) == ["c2", "c3", "renamed", "copy"]
    copied, original = (store.embedding[store.clip_id == clip] for clip in ("copy", "c2"))
    assert np.array_equal(copied, original)


def test_clips_of_equal_bytes_are_embedded_once(run, corpus, tmp_path):
    twin = Path(shutil.copy(corpus["c0"], tmp_path / "twin.mp4"))
    assert computed(run({"c0": corpus["c0"], "twin": twin})) == [1, 1, 1]


def test_an_encoder_that_changed_is_the_only_one_computed(run, corpus, encoders, tiny_clip):
    run(corpus)
    spec = {"kind": "open_clip", "model": tiny_clip, "weights": "random", "seed": 3}
    assert computed(run(corpus, {**encoders, "two": make_encoder(spec)})) == [0, 4, 0]


def test_embeddings_do_not_depend_on_what_else_is_embedded(run, corpus, tmp_path):
    run({"c2": corpus["c2"]}, out="alone")
    shutil.rmtree(tmp_path / "cache")
    run(corpus)
    store = read_store(tmp_path / "out" / "one")
    alone = read_store(tmp_path / "alone" / "one")
    assert np.array_equal(store.embedding[store.clip_id == "c2"], alone.embedding)


def test_every_clip_is_either_embedded_or_in_the_failure_table(run, corpus, make_clip, tmp_path):
    corpus["silent"] = make_clip("silent.mp4", sound_s=0)
    corpus["voice"] = make_clip("voice.m4a", n_frames=0)
    corpus["broken"] = tmp_path / "broken.mp4"
    corpus["broken"].write_bytes(b"broken")
    report = run(corpus)
    for name, expected in {
        "one": {"voice": "stream", "broken": "probe"},
        "sound": {"silent": "stream", "broken": "probe"},
    }.items():
        failures = pd.read_parquet(tmp_path / "out" / f"{name}.failures.parquet")
        assert dict(zip(failures["clip_id"], failures["step"], strict=True)) == expected
        stored = set(read_store(tmp_path / "out" / name).clip_id)
        assert stored | set(expected) == set(corpus)
        assert report.n_embedded[name] == len(stored)


def test_a_file_that_changed_since_the_index_is_not_embedded(corpus, encoders, tmp_path):
    clips = index_files(corpus, progress=False)
    corpus["c0"].write_bytes(corpus["c1"].read_bytes())
    report = extract(
        clips, encoders, SAMPLING, tmp_path / "out", cache_root=tmp_path / "c", progress=False
    )
    (failure,) = report.failures["one"].to_dict("records")
    assert failure["clip_id"] == "c0"
    assert "changed since it was indexed" in failure["reason"]


def test_a_copy_stands_in_for_a_file_that_is_gone(corpus, encoders, tmp_path):
    corpus["copy"] = Path(shutil.copy(corpus["c0"], tmp_path / "copy.mp4"))
    clips = index_files(corpus, progress=False)
    corpus["c0"].unlink()
    report = extract(
        clips, encoders, SAMPLING, tmp_path / "out", cache_root=tmp_path / "c", progress=False
    )
    assert report.n_embedded["one"] == len(corpus)


def test_files_are_embedded_in_one_call(corpus, tmp_path, tiny_clip):
    paths = [corpus["c1"], str(corpus["c0"]), tmp_path / "gone.mp4"]
    store, failures = embed_files(
        paths,
        {"kind": "open_clip", "model": tiny_clip, "weights": "random"},
        frame_rate_hz=5,
        cache_root=tmp_path / "cache",
        progress=False,
    )
    assert list(dict.fromkeys(store.clip_id)) == [str(path) for path in paths[:2]]
    assert store.embedding.shape == (len(store.time_s), 8)
    assert failures["clip_id"].tolist() == [str(tmp_path / "gone.mp4")]
    assert store.metadata["spec"]["model"] == tiny_clip


def test_what_was_finished_before_an_interrupt_is_kept(run, corpus, monkeypatch):
    batches = []
    submit = TorchFrameModel.submit

    def interrupted(self, pictures):
        if len(batches) == 2:
            raise KeyboardInterrupt
        batches.append(len(pictures))
        return submit(self, pictures)

    with monkeypatch.context() as patch:
        patch.setattr(TorchFrameModel, "submit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(corpus)
    again = run(corpus)
    assert 0 < sum(computed(again)) < 12


def test_networks_are_loaded_while_the_workers_read(run, corpus, monkeypatch):
    load, send, order = TorchEncoder.load_model, workers.send, []
    monkeypatch.setattr(workers, "send", lambda *args: order.append(args[1][0]) or send(*args))
    monkeypatch.setattr(
        TorchEncoder, "load_model", lambda *args: order.append("load") or load(*args)
    )
    run(corpus)
    begun = order.index("load")
    assert embedder.read_clip in order[:begun]
    assert order.count("load") == 2
    run(corpus)
    assert order.count("load") == 2  # everything is cached


def test_an_encoder_that_embeds_nothing_is_an_error(run, make_clip):
    with pytest.raises(EncoderError, match="'sound' embedded none of 1 clips.*no sound"):
        run({"silent": make_clip(sound_s=0)})


def test_a_worker_that_dies_before_its_last_word_leaves_no_clip_both_embedded_and_failed(
    run, corpus, encoders, tmp_path, monkeypatch
):
    sound = {"sound": encoders["sound"]}
    with monkeypatch.context() as patch:
        patch.setattr(embedder, "read_clip", work.read_and_die)
        with pytest.raises(EncoderError, match="died 2 times"):
            run({"c0": corpus["c0"]}, sound)
    assert run(corpus, sound).n_computed["sound"] == 4  # nothing of it was kept


def test_values_too_large_for_float16_fail_their_clip_alone(
    run, corpus, encoders, monkeypatch, tmp_path
):
    submit = TorchFrameModel.submit

    def large(self, pictures):
        rows = submit(self, pictures)()
        rows[pictures.mean((1, 2, 3)) > 200] = 1e6  # the longest clip's brightest frame
        return lambda: rows

    monkeypatch.setattr(TorchFrameModel, "submit", large)
    report = run(corpus, {"one": encoders["one"]})
    n_failed = len(report.failures["one"])
    assert 0 < n_failed < len(corpus)
    assert report.n_embedded["one"] == len(corpus) - n_failed
    assert set(report.failures["one"]["step"]) == {"encode"}
    assert (
        "1e+06, more than float16 does: set `dtype: float32` under encoders.one"
        in (report.failures["one"]["reason"][0])
    )
