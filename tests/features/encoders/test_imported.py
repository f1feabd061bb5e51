import numpy as np
import pandas as pd
import pytest

from features.cache import Embedding
from features.encoders import EncoderError, make_encoder
from features.encoders.imported import store_digest
from features.extraction.catalogue import list_encoders
from features.extraction.extract import embed_files, extract
from features.extraction.index import index_files
from features.identity import Sampling
from features.pool import Pooling, pool_clips
from features.store import StoredClip, read_store
from features.store_writer import write_store

SAMPLING = Sampling(frame_rate_hz=2, sample_rate_hz=16000)


def write(folder, clip_ids, n_rows=2, level="frame", offset=0.0) -> dict[str, str]:
    clips = [
        StoredClip(
            clip_id,
            f"digest-{clip_id}",
            Embedding(np.arange(n_rows) / 2, np.full((n_rows, 3), k + offset, np.float32)),
        )
        for k, clip_id in enumerate(clip_ids)
    ]
    write_store(folder, clips, {"level": level})
    return {"kind": "imported", "store": str(folder), "sha256": store_digest(folder)}


def run(spec, clips, folder):
    return extract(
        clips,
        {"fau": make_encoder(spec)},
        SAMPLING,
        folder / "out",
        cache_root=folder / "cache",
        progress=False,
    )


def without_media(*clip_ids) -> pd.DataFrame:
    return index_files(dict.fromkeys(clip_ids), progress=False)


def test_the_store_holds_the_clips_of_the_table_in_its_order(tmp_path):
    spec = write(tmp_path / "in", ["a", "b", "c", "other"])
    report = run(spec, without_media("c", "gone", "a"), tmp_path)
    store = read_store(tmp_path / "out" / "fau")
    assert list(dict.fromkeys(store.clip_id)) == ["c", "a"]
    assert store.embedding[:, 0].tolist() == [2, 2, 0, 0]
    assert store.metadata["spec"] == spec
    assert report.failures["fau"].to_dict("records") == [
        {"clip_id": "gone", "step": "stream", "reason": "no imported features"}
    ]
    assert (report.n_embedded, report.n_computed) == ({"fau": 2}, {"fau": 0})
    assert report.n_left_out == {"fau": 2}


def test_another_store_than_the_parameters_say_is_refused(tmp_path):
    spec = write(tmp_path / "in", ["a"])
    write(tmp_path / "in", ["a"], offset=1)
    with pytest.raises(EncoderError, match="another one than params.yaml.*eri import features"):
        run(spec, without_media("a"), tmp_path)
    with pytest.raises(EncoderError, match="eri import features"):
        run(spec | {"store": str(tmp_path / "gone")}, without_media("a"), tmp_path)


def test_a_store_of_other_clips_is_an_error(tmp_path):
    with pytest.raises(EncoderError, match="'fau' embedded none of 1 clips.*out of `encoders:`"):
        run(write(tmp_path / "in", ["a"]), without_media("b"), tmp_path)


def test_an_encoder_of_media_says_what_clips_without_media_lack(tmp_path):
    spec = {"kind": "torchvision", "model": "resnet18", "weights": "gone.pth"}  # not even looked at
    encoders = {"voice": make_encoder(spec)}
    with pytest.raises(EncoderError, match="no media file.*take 'voice' out of `encoders:`"):
        extract(without_media("a"), encoders, SAMPLING, tmp_path, cache_root=tmp_path / "cache")


def test_the_catalogue_counts_clips_with_features(tmp_path):
    encoders = {"fau": make_encoder(write(tmp_path / "in", ["a", "b", "c"]))}
    (entry,) = list_encoders(encoders, SAMPLING, tmp_path, without_media("b", "x"))
    assert (entry.n_cached, entry.n_clips, entry.dimension) == (1, 2, 3)
    (entry,) = list_encoders(encoders, SAMPLING, tmp_path)
    assert (entry.n_cached, entry.n_clips, entry.kind) == (3, None, "imported")


def test_vectors_of_whole_clips_are_kept_once(tmp_path):
    run(write(tmp_path / "in", ["a", "b"], 1, "clip"), without_media("b", "a"), tmp_path)
    pooling = Pooling(statistics=("mean", "std"), parts=("whole", "halves"))
    ids, vectors = pool_clips(read_store(tmp_path / "out" / "fau"), pooling)
    assert ids.tolist() == ["b", "a"]
    assert vectors.tolist() == [[1, 1, 1], [0, 0, 0]]
    run(write(tmp_path / "in", ["a"], 2, "clip"), without_media("a"), tmp_path)
    with pytest.raises(ValueError, match="level clip has clips with several rows"):
        pool_clips(read_store(tmp_path / "out" / "fau"), pooling)


def test_files_are_not_embedded_by_it(tmp_path):
    with pytest.raises(EncoderError, match="embed no files"):
        embed_files([], write(tmp_path / "in", ["a"]))
