import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.cache import EmbeddingCache
from features.encoders import EncoderError, make_encoder
from features.encoders.torch_encoder import TorchEncoder
from features.encoders.torch_model import TorchModel
from features.extraction import ExtractReport, embedder, extract, index_files, workers
from features.identity import Sampling
from features.media.faces import FaceRows
from features.pool import Pooling, pool_clips
from features.store import read_store
from tests.features import work
from tests.features.stored import bytes_of

pytestmark = pytest.mark.usefixtures("one_processor")

SAMPLING = Sampling(frame_rate_hz=5, sample_rate_hz=16000)
SOUND = {"kind": "opensmile", "model": "eGeMAPSv02"}


@pytest.fixture
def frames(tiny_clip):
    def frames(seed: int):
        spec = {"kind": "open_clip", "model": tiny_clip, "weights": "random", "seed": seed}
        return make_encoder(spec)

    return frames


@pytest.fixture
def encoders(frames):
    return {"one": frames(1), "two": frames(2), "sound": make_encoder(SOUND)}


@pytest.fixture
def corpus(make_clip) -> dict[str, Path]:
    return {f"c{k}": make_clip(f"c{k}.mp4", n_frames=10 + k) for k in range(4)}


@pytest.fixture
def clips(corpus) -> pd.DataFrame:
    return index_files(corpus, progress=False)


@pytest.fixture
def run(tmp_path, encoders):
    def run(files, encoders=encoders, out: str = "out") -> ExtractReport:
        """Extract files by id, or those of a clip table."""
        clips = files if isinstance(files, pd.DataFrame) else index_files(files, progress=False)
        places = {"destination": tmp_path / out, "cache_root": tmp_path / "cache"}
        return extract(clips, encoders, SAMPLING, **places, progress=False)

    return run


def computed(report: ExtractReport) -> list[int]:
    return [report.n_computed[name] for name in ("one", "two", "sound")]


def test_every_clip_is_embedded_by_every_encoder_and_nothing_twice(
    run, corpus, encoders, frames, tmp_path, make_clip, monkeypatch
):
    run({"c2": corpus["c2"]}, {"one": encoders["one"]}, out="alone")
    shutil.rmtree(tmp_path / "cache")
    assert computed(run(corpus)) == [4, 4, 4]
    store, alone = read_store(tmp_path / "out" / "one"), read_store(tmp_path / "alone" / "one")
    assert list(dict.fromkeys(store.clip_id)) == list(corpus)
    assert store.time_s[store.clip_id == "c0"] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert store.embedding.dtype == np.float16
    assert store.metadata["spec"]["weights"] == "random"
    # Whatever else is embedded.
    assert np.array_equal(store.embedding[store.clip_id == "c2"], alone.embedding)
    sound = read_store(tmp_path / "out" / "sound")
    halves = Pooling(statistics=("mean", "std"), parts=("whole", "halves"))
    assert np.array_equal(pool_clips(sound, halves)[1], sound.embedding)  # nothing to pool

    clips = index_files(corpus, progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(embedder.Workers, "run", lambda *_, **__: pytest.fail("a clip was read"))
        assert computed(run(clips, out="again")) == [0, 0, 0]
    assert bytes_of(tmp_path / "again") == bytes_of(tmp_path / "out")

    corpus["new"] = make_clip("new.mp4", n_frames=7)
    corpus["twin"] = Path(shutil.copy(corpus["new"], tmp_path / "twin.mp4"))
    assert computed(run(corpus)) == [1, 1, 1]
    assert computed(run(corpus, {**encoders, "two": frames(3)})) == [0, 5, 0]

    corpus.pop("c0")
    corpus["renamed"] = corpus.pop("c1").rename(tmp_path / "elsewhere.mp4")
    corpus["copy"] = Path(shutil.copy(corpus["c2"], tmp_path / "copy.mp4"))
    assert computed(run(corpus)) == [0, 0, 0]
    store = read_store(tmp_path / "out" / "one")
    assert list(dict.fromkeys(store.clip_id)) == ["c2", "c3", "new", "twin", "renamed", "copy"]
    copied, original = (store.embedding[store.clip_id == clip] for clip in ("copy", "c2"))
    assert np.array_equal(copied, original)


def test_every_clip_is_either_embedded_or_in_the_failure_table(run, corpus, make_clip, tmp_path):
    corpus["silent"] = make_clip("silent.mp4", sound_s=0)
    corpus["voice"] = make_clip("voice.m4a", n_frames=0)
    corpus["broken"] = tmp_path / "broken.mp4"
    corpus["broken"].write_bytes(b"broken")
    corpus["changed"] = make_clip("changed.mp4", n_frames=7)
    # Names may be as long and odd as a disk takes them.
    for k, name in enumerate(("a" * 251, "😀" * 62, "-rf", " a  b ", "%d?*[x]'", "a\nb")):
        corpus[name] = tmp_path / f"{name}.mp4"
        corpus[name].write_bytes(corpus["c0"].read_bytes() + bytes([k]))
    clips = index_files(corpus, progress=False)
    corpus["changed"].write_bytes(corpus["c1"].read_bytes())
    report = run(clips)
    for name, expected in {
        "one": {"voice": "stream", "broken": "probe", "changed": "read"},
        "sound": {"silent": "stream", "broken": "probe", "changed": "read"},
    }.items():
        failures = pd.read_parquet(tmp_path / "out" / f"{name}.failures.parquet")
        assert dict(zip(failures["clip_id"], failures["step"], strict=True)) == expected
        reason = failures.set_index("clip_id").loc["changed", "reason"]
        assert "changed since it was indexed" in reason
        stored = set(read_store(tmp_path / "out" / name).clip_id)
        assert stored | set(expected) == set(corpus)
        assert report.n_embedded[name] == len(stored)
    with pytest.raises(EncoderError, match=r"of 1 clips none .* 'sound' \(.*no sound\)\. Mend"):
        run({"silent": corpus["silent"]})
    everybody = r"'one' \(.*\), 'sound' \(.*\)\. Mend the clips, or take 'one', 'two', 'sound' out"
    with pytest.raises(EncoderError, match=everybody):
        run({"broken": corpus["broken"]})


def test_an_optional_encoder_without_its_weights_is_left_out(run, clips, tmp_path):
    def with_weights(weights: str, optional: bool):
        spec = {"kind": "torchvision", "model": "resnet18", "weights": weights}
        return {"later": make_encoder(spec | {"optional": optional})}

    run(clips, with_weights("random", True))
    assert "optional" not in read_store(tmp_path / "out" / "later").metadata["spec"]
    report = run(clips, with_weights("gone.pth", True))
    assert report.left_out["later"].startswith("there is no weights file gone.pth")
    failures = pd.read_parquet(tmp_path / "out" / "later.failures.parquet")
    expected = {(clip_id, "weights", report.left_out["later"]) for clip_id in clips["clip_id"]}
    assert set(failures.itertuples(index=False, name=None)) == expected
    assert not (tmp_path / "out" / "later").exists()  # that of the other weights
    with pytest.raises(EncoderError, match=r"no weights file gone\.pth"):
        run(clips, with_weights("gone.pth", False))
    assert run(clips, with_weights("random", False)).n_computed == {"later": 0}


def test_networks_are_loaded_while_the_workers_read_and_an_interrupt_keeps_what_is_finished(
    run, clips, monkeypatch
):
    load, send, order = TorchEncoder.load_model, workers.send, []
    submit, batches = TorchModel.submit, []

    def interrupted(self, pictures):
        if len(batches) == 2:
            raise KeyboardInterrupt
        batches.append(len(pictures))
        return submit(self, pictures)

    monkeypatch.setattr(workers, "send", lambda *args: order.append(args[1][0]) or send(*args))
    monkeypatch.setattr(TorchEncoder, "load_model", lambda *a: order.append("load") or load(*a))
    with monkeypatch.context() as patch:
        patch.setattr(TorchModel, "submit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(clips)
    assert embedder.read_clip in order[: order.index("load")]
    assert 0 < sum(computed(run(clips))) < 12


def test_a_worker_that_dies_before_its_last_word_leaves_no_clip_both_embedded_and_failed(
    run, clips, encoders, monkeypatch
):
    sound = {"sound": encoders["sound"]}
    with monkeypatch.context() as patch:
        patch.setattr(embedder, "read_clip", work.read_and_die)
        with pytest.raises(EncoderError, match="process died"):
            run(clips[:1], sound)
    assert run(clips, sound).n_computed["sound"] == 4  # nothing of it was kept


NONE, ROWS = np.empty((0, 8), np.float32), np.arange(16, dtype=np.float32).reshape(2, 8)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (NONE, "it has nothing that the encoder takes"),
        (ROWS * np.nan, "the embedding is not finite"),
        (ROWS * 1e5, "holds 1.5e+06, more than float16 does: set `dtype: float32` under encoders"),
        (ROWS, None),
    ],
)
def test_a_clip_whose_rows_cannot_be_kept_fails_and_others_come_in_the_order_of_time(
    frames, tmp_path, rows, reason
):
    run = embedder.EncoderRun("one", frames(1), SAMPLING, tmp_path)
    run.keep("clip", np.array([5.0, 1.5])[: len(rows)], rows, FaceRows())
    if reason is None:
        kept = EmbeddingCache(tmp_path, run.identity).get("clip")
        assert (run.failed, kept.time_s.tolist()) == ({}, [1.5, 5])
        assert np.array_equal(kept.values, rows[::-1])
    else:
        assert (run.n_computed, run.failed["clip"].step) == (0, "encode")
        assert reason in run.failed["clip"].reason
