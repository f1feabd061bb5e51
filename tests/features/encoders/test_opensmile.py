import shutil
from pathlib import Path

import numpy as np
import opensmile
import pytest

from features.encoders import EncoderError, make_encoder
from features.errors import MediaError
from features.identity import Sampling, encoder_identity

RATE_HZ = 16000


@pytest.fixture(scope="module")
def voice():
    rng = np.random.default_rng(0)
    time_s = np.arange(3 * RATE_HZ) / RATE_HZ
    buzz = np.sign(np.sin(2 * np.pi * 120 * time_s))
    return (0.2 * buzz + 0.01 * rng.standard_normal(len(time_s))).astype(np.float32)


def spec(model: str, **more: object) -> dict[str, object]:
    return {"kind": "opensmile", "model": model, **more}


@pytest.mark.parametrize(("model", "dimension"), [("eGeMAPSv02", 88), ("ComParE_2016", 6373)])
def test_functionals_of_the_whole_clip_have_the_names_of_opensmile(voice, model, dimension):
    encoder = make_encoder(spec(model))
    time_s, embedding = encoder.embed(voice, RATE_HZ)
    assert embedding.shape == (1, dimension)
    assert encoder.dimension() == len(encoder.columns()) == dimension
    assert embedding.dtype == np.float32
    assert time_s == pytest.approx([1.5], abs=0.01)
    assert encoder.is_clip_level()
    assert model != "eGeMAPSv02" or "F0semitoneFrom27.5Hz_sma3nz_amean" in encoder.columns()


def test_functionals_over_windows(voice):
    encoder = make_encoder(spec("eGeMAPSv02", window_s=1.0, hop_s=0.5))
    time_s, embedding = encoder.embed(voice, RATE_HZ)
    assert time_s == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.5], abs=0.01)
    assert not encoder.is_clip_level()
    alone = make_encoder(spec("eGeMAPSv02")).embed(voice[:RATE_HZ], RATE_HZ)[1]
    assert np.array_equal(embedding[:1], alone)


@pytest.mark.parametrize(("model", "dimension"), [("eGeMAPSv02", 25), ("ComParE_2016", 65)])
def test_descriptors_come_every_ten_milliseconds_or_as_means_over_a_hop(voice, model, dimension):
    encoder = make_encoder(spec(model, level="lld"))
    time_s, every = encoder.embed(voice, RATE_HZ)
    assert encoder.dimension() == every.shape[1] == dimension
    assert np.diff(time_s) == pytest.approx(0.01)
    assert 2.9 < len(time_s) / 100 < 3.0
    assert not encoder.is_clip_level()
    over_hops = make_encoder(spec(model, level="lld", hop_s=0.5))
    hops_s, means = over_hops.embed(voice, RATE_HZ)
    assert over_hops.windows_s() == (0.5, 0.5)
    assert len(means) == 6
    first = time_s < 0.5
    assert means[0] == pytest.approx(every[first].mean(axis=0), rel=1e-5, abs=1e-5)
    assert hops_s[0] == pytest.approx(time_s[first].mean())


def test_too_short_sound_is_a_failure_and_not_a_row_of_nan(voice):
    with pytest.raises(MediaError, match=r"0\.01 s of sound are too short") as caught:
        make_encoder(spec("eGeMAPSv02")).embed(voice[:160], RATE_HZ)
    assert caught.value.step == "encode"


def test_an_unknown_feature_set_lists_the_known_ones():
    with pytest.raises(EncoderError, match="no feature set 'eGeMAPS2'.*eGeMAPSv02"):
        make_encoder(spec("eGeMAPS2")).weights_digest()


def test_a_configuration_file_of_one_s_own_counts_with_all_it_includes(voice, tmp_path):
    config = Path("egemaps/v02/eGeMAPSv02.conf")
    for name in ("one", "moved"):
        shutil.copytree(Path(opensmile.__file__).with_name("core") / "config", tmp_path / name)
    path = tmp_path / "one" / config
    encoder = make_encoder(spec(str(path), sink="lld", level="lld"))
    _, rows = encoder.embed(voice, RATE_HZ)
    assert rows.shape[1] == encoder.dimension() == len(encoder.columns())
    assert rows.shape[0] > 100
    digest = encoder.weights_digest()
    again = make_encoder(spec(str(tmp_path / "moved" / config), sink="lld", level="lld"))
    sampling = Sampling(frame_rate_hz=1, sample_rate_hz=RATE_HZ)
    assert encoder_identity(again, sampling) == encoder_identity(encoder, sampling)
    with path.with_name("eGeMAPSv02_core.lld.conf.inc").open("a") as included:
        included.write("\n")
    assert encoder.weights_digest() != digest
    with pytest.raises(EncoderError, match="no .*gone.conf: correct the path"):
        make_encoder(spec("gone.conf")).weights_digest()
    with pytest.raises(MediaError, match="set `level: lld`"):
        make_encoder(spec(str(path), sink="lld")).embed(voice, RATE_HZ)
