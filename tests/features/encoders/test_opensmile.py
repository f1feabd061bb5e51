import numpy as np
import pytest
from pydantic import ValidationError

from features.encoders import EncoderError, make_encoder
from features.errors import MediaError

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
def test_functionals_of_the_whole_clip(voice, model, dimension):
    encoder = make_encoder(spec(model))
    time_s, embedding = encoder.embed(voice, RATE_HZ)
    assert embedding.shape == (1, dimension)
    assert encoder.dimension() == dimension
    assert embedding.dtype == np.float32
    assert time_s == pytest.approx([1.5], abs=0.01)
    assert encoder.is_clip_level()


def test_functionals_over_windows(voice):
    encoder = make_encoder(spec("eGeMAPSv02", window_s=1.0, hop_s=0.5))
    time_s, embedding = encoder.embed(voice, RATE_HZ)
    assert time_s == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.5], abs=0.01)
    assert not encoder.is_clip_level()
    alone = make_encoder(spec("eGeMAPSv02")).embed(voice[:RATE_HZ], RATE_HZ)[1]
    assert np.array_equal(embedding[:1], alone)


@pytest.mark.parametrize(("model", "dimension"), [("eGeMAPSv02", 25), ("ComParE_2016", 65)])
def test_low_level_descriptors_come_every_ten_milliseconds(voice, model, dimension):
    encoder = make_encoder(spec(model, level="lld"))
    time_s, embedding = encoder.embed(voice, RATE_HZ)
    assert encoder.dimension() == embedding.shape[1] == dimension
    assert np.diff(time_s) == pytest.approx(0.01)
    assert 2.9 < len(time_s) / 100 < 3.0
    assert not encoder.is_clip_level()


def test_too_short_sound_is_a_failure_and_not_a_row_of_nan(voice):
    with pytest.raises(MediaError, match=r"0\.01 s of sound are too short") as caught:
        make_encoder(spec("eGeMAPSv02")).embed(voice[:160], RATE_HZ)
    assert caught.value.step == "encode"


def test_an_unknown_feature_set_lists_the_known_ones():
    with pytest.raises(EncoderError, match="no feature set 'eGeMAPS2'.*eGeMAPSv02"):
        make_encoder(spec("eGeMAPS2")).weights_digest()


@pytest.mark.parametrize(
    "more", [{"window_s": 1.0}, {"level": "lld", "window_s": 1.0, "hop_s": 1.0}, {"level": "x"}]
)
def test_windows_that_make_no_sense_are_refused(more):
    with pytest.raises(ValidationError):
        make_encoder(spec("eGeMAPSv02", **more))
