import pytest
from pydantic import ValidationError

from features.encoders import make_encoder
from features.encoders.presets import presets
from features.encoders.torch_encoder import TorchEncoder
from features.identity import Sampling, encoder_identity

SAMPLING = Sampling(frame_rate_hz=3, sample_rate_hz=16000)


@pytest.mark.parametrize("name", presets())
def test_every_preset_is_an_entry_with_its_rights_and_sources(name):
    preset = presets()[name]
    encoder = make_encoder({"preset": name})
    assert encoder == make_encoder(preset.entry)
    assert all(preset._asdict().values())
    if isinstance(encoder, TorchEncoder) and "://" not in encoder.weights:
        assert encoder.weights in encoder.tags


def test_a_preset_s_keys_can_be_overruled_and_its_name_is_no_part_of_the_identity():
    entry = {"kind": "opensmile", "model": "eGeMAPSv02", "window_s": 3.0, "hop_s": 1.0}
    short = make_encoder({"preset": "egemaps", "window_s": 3, "hop_s": 1})
    assert short == make_encoder(entry)
    assert encoder_identity(short, SAMPLING) == encoder_identity(make_encoder(entry), SAMPLING)
    assert "preset" not in short.model_dump()


def test_an_unknown_preset_or_key_is_named():
    with pytest.raises(ValidationError, match="did you mean 'wavlm-base-plus'"):
        make_encoder({"preset": "wavlm-base-plsu"})
    with pytest.raises(ValidationError, match="colour"):
        make_encoder({"preset": "egemaps", "colour": "red"})
