"""A voice gives the same sound whatever the channels it is on."""

import numpy as np
import pytest

from features.encoders import make_encoder
from tests.features.odd_media import read_sound, wav, write_sound

RATE_HZ = 16000
SECONDS = np.arange(2 * RATE_HZ) / RATE_HZ
VOICE = sum(
    0.3 / k * np.sin(2 * np.pi * k * 150 * SECONDS + np.sin(9 * SECONDS)) for k in range(1, 9)
).astype(np.float32) * np.clip(np.sin(8 * SECONDS), 0, 1).astype(np.float32)
NOISE = np.random.default_rng(0).standard_normal(len(VOICE)).astype(np.float32)
LEVEL = VOICE.std()
LAYOUTS = {
    1: "mono",
    2: "stereo",
    3: "2.1",
    4: "quad",
    5: "5.0",
    6: "5.1",
    8: "7.1",
    12: "7.1.4",
    16: "hexadecagonal",
}


def difference(sound, right=VOICE):
    assert len(sound) == len(right)
    return np.abs(sound - right).max()


def read(path, channels, layout=None, codec="pcm_f32le"):
    channels = np.stack(np.broadcast_arrays(*channels))
    write_sound(path, channels, RATE_HZ, codec=codec, layout=layout or LAYOUTS[len(channels)])
    return read_sound(path, RATE_HZ)


@pytest.mark.parametrize("n_channels", LAYOUTS)
@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f64le"])
def test_equal_channels_are_the_mono_sound(tmp_path, codec, n_channels):
    name = "sound.wav" if codec == "pcm_u8" else "sound.mka"
    sound = read(tmp_path / name, [VOICE] * n_channels, codec=codec)
    assert difference(sound) < (0.01 if codec == "pcm_u8" else 1e-4)


@pytest.mark.parametrize("n_channels", [2, 3, 5, 6, 9, 16])
def test_channels_without_a_layout_are_mixed_alike(tmp_path, n_channels):
    path = tmp_path / "array.wav"
    samples = np.repeat((VOICE * 32767).astype(np.int16), n_channels)
    path.write_bytes(wav(samples, RATE_HZ, n_channels))
    assert difference(read_sound(path, RATE_HZ)) < 1e-4


@pytest.mark.parametrize(
    "channels",
    [
        [VOICE, 0],
        [0, VOICE],
        [VOICE, 0.001 * LEVEL * NOISE],  # an unplugged microphone
        [VOICE, 0.005 * LEVEL * NOISE + 0.1],  # with a constant offset
        [0, 0, VOICE, 0, 0, 0],  # the centre only
        [VOICE, 0, VOICE, 0],
        [VOICE, -VOICE],  # wired the wrong way round
        [VOICE, VOICE, -VOICE, VOICE],
        [VOICE, VOICE, VOICE, LEVEL * NOISE, VOICE, VOICE],  # low tones only on the fourth
    ],
    ids=range(9),
)
def test_what_is_no_second_voice_changes_nothing(tmp_path, channels):
    assert difference(read(tmp_path / "sound.wav", channels)) < 1e-5


def test_a_constant_sound_keeps_its_sign(tmp_path):
    path = tmp_path / "click.wav"
    path.write_bytes(wav(np.full(80, 5000, np.int16), 8000))
    assert read_sound(path, RATE_HZ) == pytest.approx(5000 / 32768, abs=1e-4)


def test_what_is_on_several_channels_is_their_mean(tmp_path):
    other = (0.1 * LEVEL * NOISE).astype(np.float32)  # quiet, and yet a person
    sound = read(tmp_path / "sound.mka", [VOICE, other])
    assert difference(sound, (VOICE + other) / 2) < 1e-5


CODED = {"m4a": "aac", "mp3": "libmp3lame", "webm": "libopus", "flac": "flac", "ac3": "ac3"}
SURROUND = [("m4a", 6, 6), ("m4a", 8, 8), ("flac", 8, 8), ("ac3", 6, 6)]


@pytest.mark.parametrize(
    ("ending", "n_channels", "n_voices"),
    # A coder leaves only low tones on one of the channels of surround sound.
    [*SURROUND, *((ending, 2, n_voices) for ending in CODED for n_voices in (1, 2))],
)
def test_coded_sound_has_the_features_of_mono(tmp_path, ending, n_channels, n_voices):
    """Within what the codec itself changes."""
    encoder = make_encoder({"kind": "opensmile", "model": "eGeMAPSv02", "level": "functionals"})
    voice = np.repeat(VOICE, 3)  # at 48 kHz: every codec takes it
    mono, coded = voice[None], np.zeros((n_channels, len(voice)), np.float32)
    coded[:n_voices] = voice
    rows = []
    for channels in (mono, coded):
        path, form = tmp_path / f"sound.{ending}", {"codec": CODED[ending]}
        write_sound(path, channels, 48000, layout=LAYOUTS[len(channels)], **form)
        rows.append(encoder.embed(read_sound(path, RATE_HZ), RATE_HZ)[1][0])
    loudness, spectral_flux, mfcc1 = 10, 20, 22
    for column in (loudness, spectral_flux, mfcc1):
        assert rows[1][column] == pytest.approx(rows[0][column], rel=0.08)
