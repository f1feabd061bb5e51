from fractions import Fraction

import av
import numpy as np
import pytest

from features.encoders import make_encoder
from features.errors import MediaError
from features.extraction import embed_files
from features.media.files import probe
from features.media.frames import read_frames
from features.media.sound import read_track
from tests.features.odd_media import FILMS, Film, read_sound, wav, write_film, write_sound

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
    track = read_track(path, 16000)
    assert len(track.samples) == pytest.approx(5 * 16000, rel=0.02)
    assert track.gaps_s == pytest.approx(np.array([[1, 4]]), abs=0.1)


TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)).astype(np.float32)[None]


@pytest.mark.parametrize(
    ("name", "codec", "rate_hz"),
    [
        ("sound.mka", "pcm_s16le", 16000),
        ("sound.webm", "libopus", 48000),
        ("sound.m4a", "aac", 16000),
        ("sound.ts", "aac", 16000),
        ("sound.flv", "libmp3lame", 44100),
    ],
)
def test_sound_is_on_the_clock_of_the_clip_and_gaps_are_silence(tmp_path, name, codec, rate_hz):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate_hz) / rate_hz)[None]
    path = write_sound(tmp_path / name, tone, rate_hz, codec=codec, starts_s=(0, 3))
    sound = read_sound(path, 16000)
    level = [np.std(sound[k * 8000 + 1600 : k * 8000 + 6400]) for k in range(8)]
    expected = [0.35, 0.35, 0, 0, 0, 0, 0.35, 0.35]
    assert level == pytest.approx(expected, abs=0.03)


def write_late(path, video_starts_s, sound_starts_s, n_frames=20):
    """Write pictures at 10 Hz and a second of a tone, each from its own time on."""
    with av.open(path, "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("pcm_s16le" if path.suffix == ".mkv" else "mp2", rate=16000)
        audio.layout = "mono"
        for k in range(n_frames):
            picture = np.full((48, 64, 3), 5 * k, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(10 * video_starts_s) + k, Fraction(1, 10)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for start in range(0, 16000, 1152):
            part = (TONE[:, start : start + 1152] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
            frame.sample_rate, frame.time_base = 16000, Fraction(1, 16000)
            frame.pts = start + round(16000 * sound_starts_s)
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    return path


@pytest.mark.parametrize("name", ["late.mkv", "late.mp4", "late.ts"])
@pytest.mark.parametrize(("video_s", "sound_s"), [(0, 0), (0, 1), (1, 0), (3, 3.5), (0, 0.05)])
def test_a_clip_begins_with_its_earliest_stream(tmp_path, name, video_s, sound_s):
    path = write_late(tmp_path / name, video_s, sound_s)
    track = read_track(path, 16000)
    frames = list(read_frames(path, 10))
    late_s = track.start_s - frames[0].time_s
    assert late_s == pytest.approx(sound_s - video_s, abs=0.035)  # a coded frame of sound
    assert frames[0].time_s == pytest.approx(video_s - min(video_s, sound_s), abs=0.11)
    assert len(frames) == 20
    n_silent = np.argmax(np.abs(read_sound(path, 16000)) > 0.1)
    assert n_silent / 16000 == pytest.approx(track.start_s, abs=0.05)


def test_windows_of_sound_are_timed_by_the_clip_and_none_is_of_a_gap(tmp_path):
    windows = {"window_s": 0.5, "hop_s": 0.25}
    encoder = {"kind": "opensmile", "model": "eGeMAPSv02", "level": "functionals", **windows}
    write_late(tmp_path / "late.mkv", 0, 1)
    write_sound(tmp_path / "gap.mka", TONE, codec="pcm_s16le", starts_s=(0, 3))
    paths = [str(tmp_path / name) for name in ("late.mkv", "gap.mka")]
    store, failures = embed_files(paths, encoder, progress=False)
    assert failures.empty
    late, gap = [1.25, 1.5, 1.75], [0.25, 0.5, 0.75, 1, 3, 3.25, 3.5, 3.75]
    assert store.time_s.tolist() == pytest.approx(late + gap)


def test_time_stamps_that_begin_anew_or_jump_beyond_the_end_are_no_gap(tmp_path):
    parts = [write_sound(tmp_path / f"{k}.ts", TONE, codec="aac") for k in range(2)]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert len(read_sound(path, 16000)) == pytest.approx(2 * 16000, rel=0.1)


@pytest.mark.parametrize(
    ("scale", "codec", "reason"),
    [
        (32768, "pcm_f32le", r"its samples reach 1.638e\+04, not \[-1, 1\]: divide them"),
        (16, "pcm_f32le", r"reach 8, not"),
        (8, "pcm_f64le", r"reach 4, not"),
        (1e3, "aac", "in another scale"),
        (np.nan, "pcm_f32le", "not all numbers"),
        (np.inf, "pcm_f64le", "not all numbers"),
    ],
)
def test_sound_in_another_scale_is_refused(tmp_path, scale, codec, reason):
    path = tmp_path / ("sound.mka" if codec == "aac" else "sound.wav")
    tone = TONE.copy()
    tone[:, 100:] *= np.float32(scale)
    with pytest.raises(MediaError, match=reason) as caught:
        read_sound(write_sound(path, tone, codec=codec), 16000)
    assert caught.value.step == "decode"


@pytest.mark.parametrize("codec", ["aac", "libopus", "libmp3lame", "pcm_f32le"])
def test_sound_stays_within_its_bounds(tmp_path, codec):
    """Coded or brought to another rate, a square wave overshoots."""
    square = np.sign(np.sin(2 * np.pi * 220 * np.arange(48000) / 48000)) * 1.1
    sound = read_sound(write_sound(tmp_path / "loud.mka", square[None], 48000, codec=codec), 16000)
    assert np.abs(sound).max() == 1
    encoder = make_encoder({"kind": "opensmile", "model": "eGeMAPSv02", "level": "functionals"})
    below_one = np.clip(sound, -1, 0.999).astype(np.float32)
    row, right = (encoder.embed(each, 16000)[1][0] for each in (sound, below_one))
    assert row[[10, 20, 22]] == pytest.approx(right[[10, 20, 22]], rel=0.01)


@pytest.mark.parametrize("first", ["silent", "a comment"])
def test_of_several_streams_the_one_is_read_that_is_meant_to_be_heard(tmp_path, first):
    path = tmp_path / "several.mkv"
    with av.open(path, "w") as container:
        for k in range(3):
            stream = container.add_stream("pcm_s16le", rate=16000)
            stream.layout = "mono"
            stream.disposition = (
                av.stream.Disposition.comment if first != "silent" and k == 0 else 0
            )
        for k, level in enumerate((0 if first == "silent" else 0.1, 0.5, 0.2)):
            frame = av.AudioFrame.from_ndarray(
                (2 * level * TONE * 32767).astype(np.int16), format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts = 16000, 0
            container.mux(container.streams[k].encode(frame))
    assert np.abs(read_sound(path, 16000)).max() == pytest.approx(0.5, abs=0.01)


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
