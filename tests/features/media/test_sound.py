import av
import numpy as np
import pytest

from features.media.files import MediaError, probe
from features.media.sound import read_sound
from tests.features.odd_media import FILMS, Film, wav, write_film

RATES_HZ = (16000, 44100)


def test_sound_is_one_channel_at_the_rate_asked_for(make_clip):
    sound = read_sound(make_clip(sound_s=2.0), 8000)
    assert sound.dtype == np.float32
    assert len(sound) == pytest.approx(2 * 8000, rel=0.1)
    spectrum = np.abs(np.fft.rfft(sound))
    assert np.argmax(spectrum) * 8000 / len(sound) == pytest.approx(440, abs=5)


def test_a_clip_without_sound_says_so(make_clip):
    path = make_clip(sound_s=0)
    assert not probe(path).has_audio
    with pytest.raises(MediaError, match="no sound") as caught:
        read_sound(path, 16000)
    assert caught.value.step == "stream"


def test_sound_may_last_as_long_as_allowed(make_clip):
    path = make_clip(n_frames=0, sound_s=2)
    read_sound(path, 8000, max_duration_s=2.5)
    with pytest.raises(MediaError, match=r"the sound lasts more than 1 s"):
        read_sound(path, 8000, max_duration_s=1)


def write_silence(path, rate_hz, starts=(0,), **options):
    """Write a second of silence from each of these samples on."""
    with av.open(path, "w", **options) as container:
        stream = container.add_stream("aac", rate=rate_hz)
        stream.layout = "mono"
        for start in starts:
            samples = np.zeros((1, rate_hz), np.float32)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate_hz, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_sound_that_changes_its_rate_midway_is_read_through(tmp_path):
    parts = [write_silence(tmp_path / f"{rate}.aac", rate, format="adts") for rate in RATES_HZ]
    path = tmp_path / "two.aac"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert len(read_sound(path, 8000)) == pytest.approx(2 * 8000, rel=0.15)


def test_gaps_in_the_sound_are_no_damage(tmp_path):
    path = write_silence(tmp_path / "gap.m4a", 16000, starts=(0, 4 * 16000))
    assert probe(path).duration_s == pytest.approx(5, abs=0.2)
    assert len(read_sound(path, 16000)) == pytest.approx(2 * 16000, rel=0.1)


@pytest.mark.parametrize("codec", ["aac", "libmp3lame", "libopus", "pcm_s16le"])
@pytest.mark.parametrize("sound_s", [0.2, 1.0, 10.0])
def test_short_and_long_sound_is_whole(tmp_path, codec, sound_s):
    name = "sound.mov" if codec == "pcm_s16le" else "sound.mp4"
    film = Film(times_s=(), sound_codec=codec, sound_s=sound_s, rate_hz=48000)
    sound = read_sound(write_film(tmp_path / name, film), 8000)
    assert len(sound) / 8000 == pytest.approx(sound_s, abs=0.07)


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_clip_that_lost_the_end_of_its_sound_is_damaged(tmp_path, share):
    path = write_film(tmp_path / "cut.mp4", FILMS["index_first.mp4"])
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(
        MediaError, match="of 1.92 s of sound decode: the file is damaged"
    ) as caught:
        read_sound(path, 16000)
    assert caught.value.step == "decode"


@pytest.mark.parametrize("rate_hz", [1, 999, 2**31 - 1])
def test_sound_at_an_absurd_rate_is_refused(tmp_path, rate_hz):
    path = tmp_path / "sound.wav"
    path.write_bytes(wav(np.zeros(16000, np.int16), rate_hz))
    with pytest.raises(MediaError, match=f"a sample rate of {rate_hz:,} Hz, not 1,000 to"):
        read_sound(path, 16000)


@pytest.mark.parametrize("name", ["voice.webm", "voice.mka"])
def test_sound_that_ends_long_before_its_header_says_is_damaged(tmp_path, name):
    path = write_film(tmp_path / name, Film(times_s=(), sound_s=30.0, sound_codec="libopus"))
    content = path.read_bytes()
    assert len(read_sound(path, 16000)) == pytest.approx(30 * 16000, rel=0.02)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(MediaError, match=r"the audio ends after .* of 30\.\d+ s") as caught:
        read_sound(path, 16000)
    assert caught.value.step == "decode"
