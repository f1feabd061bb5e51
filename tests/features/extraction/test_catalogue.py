import pytest

from features.encoders import make_encoder
from features.extraction import extract, index_files
from features.extraction.catalogue import list_encoders
from features.identity import Sampling, encoder_identity

SAMPLING = Sampling(frame_rate_hz=5, sample_rate_hz=16000)


@pytest.fixture
def encoders(tiny_clip):
    return {
        "tiny": make_encoder({"kind": "open_clip", "model": tiny_clip, "weights": "random"}),
        "voice": make_encoder({"kind": "opensmile", "model": "eGeMAPSv02"}),
    }


def test_encoders_are_described_with_what_is_cached(encoders, make_clip, tmp_path):
    paths = {"a": make_clip("a.mp4"), "b": make_clip("b.mp4", n_frames=7, sound_s=0)}
    clips = index_files(paths, progress=False)
    cache = tmp_path / "cache"
    tiny, voice = list_encoders(encoders, SAMPLING, cache, clips)
    assert (tiny["dimension"], tiny["n_cached"], tiny["n_clips"]) == (8, 0, 2)
    assert (voice["dimension"], voice["n_cached"], voice["n_clips"]) == (88, 0, 1)
    assert tiny["identity"] == encoder_identity(encoders["tiny"], SAMPLING)
    assert not cache.exists()  # listing changes nothing
    only_a = index_files({"a": paths["a"]}, progress=False)
    extract(only_a, encoders, SAMPLING, tmp_path / "out", cache_root=cache, progress=False)
    tiny, voice = list_encoders(encoders, SAMPLING, cache, clips)
    assert (tiny["n_cached"], voice["n_cached"]) == (1, 1)
    assert list_encoders(encoders, SAMPLING, cache)[0]["n_clips"] is None


def test_weights_that_are_not_here_are_named_and_not_downloaded(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path / "hub"))
    spec = {"kind": "torchvision", "model": "resnet18", "weights": "IMAGENET1K_V1"}
    (entry,) = list_encoders({"r": make_encoder(spec)}, SAMPLING, tmp_path / "cache")
    assert entry["identity"] is None
    assert entry["dimension"] == 512
    assert "has not been downloaded yet" in entry["problem"]
    assert not (tmp_path / "hub").exists()
