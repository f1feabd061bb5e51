"""A voice gives the same sound whatever file and channels it is on, on the clock of the clip."""

import av
import numpy as np
import pytest

from features.encoders import make_encoder
from features.encoders.pieces import SoundPieces
from features.errors import MediaError
from features.identity import Sampling
from features.media.files import probe
from features.media.frames import read_frames
from features.media.sound import MAX_SOUND_S, Track, read_track
from tests.features.odd_media import FILMS, Film, read_sound, wav, write_film, write_sound
from tests.media import audio, write_media

RATE_HZ = 16000
SECONDS = np.arange(2 * RATE_HZ) / RATE_HZ
VOICE = sum(
    0.3 / k * np.sin(2 * np.pi * k * 150 * SECONDS + np.sin(9 * SECONDS)) for k in range(1, 9)
).astype(np.float32) * np.clip(np.sin(8 * SECONDS), 0, 1).astype(np.float32)
LEVEL = VOICE.std()
NOISE = np.float32(LEVEL) * np.random.default_rng(0).standard_normal(len(VOICE), np.float32)
TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)).astype(np.float32)[None]
LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 8: "7.1"}
LAYOUTS |= {12: "7.1.4", 16: "hexadecagonal"}
EGEMAPS = {"kind": "opensmile", "model": "eGeMAPSv02", "level": "functionals"}
LOUDNESS_FLUX_MFCC1 = [10, 20, 22]


def difference(sound, right=VOICE):
    assert len(sound) == len(right)
    return np.abs(sound - right).max()


def read(path, channels, codec="pcm_f32le"):
    channels = np.stack(np.broadcast_arrays(VOICE, *channels)[1:])
    write_sound(path, channels, RATE_HZ, codec=codec, layout=LAYOUTS[len(channels)])
    return read_sound(path, RATE_HZ)


@pytest.mark.parametrize("n_channels", LAYOUTS)
@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f64le"])
def test_equal_channels_are_the_mono_sound(tmp_path, codec, n_channels):
    name = "sound.wav" if codec == "pcm_u8" else "sound.mka"
    sound = read(tmp_path / name, [VOICE] * n_channels, codec)
    assert difference(sound) < (0.01 if codec == "pcm_u8" else 1e-4)


@pytest.mark.parametrize("n_channels", [2, 3, 5, 6, 9, 16])
def test_channels_without_a_layout_are_mixed_alike(tmp_path, n_channels):
    path = tmp_path / "array.wav"
    samples = np.repeat((VOICE * 32767).astype(np.int16), n_channels)
    path.write_bytes(wav(samples, RATE_HZ, n_channels))
    assert difference(read_sound(path, RATE_HZ)) < 1e-4


@pytest.mark.parametrize(
    ("channels", "right"),
    [
        ([VOICE, 0], VOICE),
        ([0, VOICE], VOICE),
        ([VOICE, 0.001 * NOISE], VOICE),  # an unplugged microphone
        ([VOICE, 0.005 * NOISE + 0.1], VOICE),  # with a constant offset
        ([0, 0, VOICE, 0, 0, 0], VOICE),  # the centre only
        ([VOICE, 0, VOICE, 0], VOICE),
        ([VOICE, -VOICE], VOICE),  # wired the wrong way round
        ([VOICE, VOICE, -VOICE, VOICE], VOICE),
        ([VOICE, VOICE, VOICE, NOISE, VOICE, VOICE], VOICE),  # low tones only on the fourth
        ([VOICE, 0.1 * NOISE], (VOICE + 0.1 * NOISE) / 2),  # quiet, and yet a person
        ([0.1, 0.2], 0.15 + 0 * VOICE),
    ],
    ids=range(11),
)
def test_sound_is_the_mean_of_the_channels_that_hold_sound(tmp_path, channels, right):
    assert difference(read(tmp_path / "sound.wav", channels), right) < 1e-5


CODED = {"m4a": "aac", "mp3": "libmp3lame", "webm": "libopus", "flac": "flac", "ac3": "ac3"}
SURROUND = [("m4a", 6, 6), ("m4a", 8, 8), ("flac", 8, 8), ("ac3", 6, 6)]


@pytest.mark.parametrize(
    ("ending", "n_channels", "n_voices"),
    # A coder leaves only low tones on one of the channels of surround sound.
    [*SURROUND, *((ending, 2, n_voices) for ending in CODED for n_voices in (1, 2))],
)
def test_coded_sound_has_the_features_of_mono(tmp_path, ending, n_channels, n_voices):
    """Within what the codec itself changes."""
    voice = np.repeat(VOICE, 3)  # at 48 kHz: every codec takes it
    mono, coded = voice[None], np.zeros((n_channels, len(voice)), np.float32)
    coded[:n_voices] = voice
    rows = []
    for channels in (mono, coded):
        path, form = tmp_path / f"sound.{ending}", {"codec": CODED[ending]}
        write_sound(path, channels, 48000, layout=LAYOUTS[len(channels)], **form)
        rows.append(make_encoder(EGEMAPS).embed(read_sound(path, RATE_HZ), RATE_HZ)[1][0])
    assert rows[1][LOUDNESS_FLUX_MFCC1] == pytest.approx(rows[0][LOUDNESS_FLUX_MFCC1], rel=0.08)


@pytest.mark.parametrize("codec", ["aac", "libopus", "libmp3lame", "pcm_f32le"])
def test_sound_stays_within_its_bounds(tmp_path, codec):
    """Coded or brought to another rate, a square wave overshoots; openSMILE would wrap."""
    square = np.sign(np.sin(2 * np.pi * 220 * np.arange(48000) / 48000)) * 1.1
    sound = read_sound(write_sound(tmp_path / "loud.mka", square[None], 48000, codec=codec), 16000)
    assert np.abs(sound).max() == 1
    below_one = np.clip(sound, -1, 0.999).astype(np.float32)
    row, right = (make_encoder(EGEMAPS).embed(each, 16000)[1][0] for each in (sound, below_one))
    assert row[LOUDNESS_FLUX_MFCC1] == pytest.approx(right[LOUDNESS_FLUX_MFCC1], rel=0.01)


def test_parts_of_one_file_may_differ_in_rate_and_begin_anew(tmp_path):
    for name, rates_hz in (("two.aac", (16000, 44100)), ("two.ts", (16000, 16000))):
        part = tmp_path / f"part{name}"
        parts = [write_sound(part, TONE, rate, codec="aac").read_bytes() for rate in rates_hz]
        (tmp_path / name).write_bytes(b"".join(parts))
        n_s = sum(16000 / rate for rate in rates_hz)
        assert len(read_sound(tmp_path / name, 8000)) == pytest.approx(n_s * 8000, rel=0.15)


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
    assert level == pytest.approx([0.35, 0.35, 0, 0, 0, 0, 0.35, 0.35], abs=0.03)
    assert read_track(path, 16000).gaps_s == pytest.approx(np.array([[1, 3]]), abs=0.1)
    assert probe(path).duration_s == pytest.approx(4, abs=0.2)


@pytest.mark.parametrize(("gap_s", "n_gaps"), [(0.08, 0), (0.12, 1)])
def test_a_hole_of_more_than_a_tenth_of_a_second_is_a_gap(tmp_path, gap_s, n_gaps):
    starts_s = (0, 1 + gap_s)
    path = write_sound(tmp_path / "gap.mka", TONE, codec="pcm_s16le", starts_s=starts_s)
    track = read_track(path, 16000)
    assert track.gaps_s == pytest.approx(np.array([[1, 1 + gap_s]] * n_gaps).reshape(-1, 2))
    assert len(track.samples) == pytest.approx(16000 * (2 + gap_s * n_gaps), abs=20)


@pytest.mark.parametrize("name", ["late.mkv", "late.mp4", "late.ts"])
@pytest.mark.parametrize(("video_s", "sound_s"), [(0, 0), (0, 1), (1, 0), (3, 3.5), (0, 0.05)])
def test_a_clip_begins_with_its_earliest_stream(tmp_path, name, video_s, sound_s):
    codec = "pcm_s16le" if name == "late.mkv" else "mp2"
    times_s = tuple(video_s + k / 10 for k in range(20))
    film = Film(times_s, "mpeg4", sound_s=1, sound_starts_s=sound_s, sound_codec=codec)
    path = write_film(tmp_path / name, film)
    start_s, frames = read_track(path, 16000).start_s, list(read_frames(path, 10))
    assert start_s - frames[0].time_s == pytest.approx(sound_s - video_s, abs=0.035)  # a frame
    assert frames[0].time_s == pytest.approx(video_s - min(video_s, sound_s), abs=0.11)
    assert len(frames) >= 19  # the last one is shown for a hundredth
    n_silent = np.argmax(np.abs(read_sound(path, 16000)) > 0.1)
    assert n_silent / 16000 == pytest.approx(start_s, abs=0.05)


def test_windows_of_sound_are_timed_by_the_clip_and_none_is_of_a_gap(tmp_path):
    film = Film(codec="mpeg4", sound_s=1, sound_starts_s=0.98, sound_codec="pcm_s16le")
    paths = [write_film(tmp_path / "late.mkv", film)]
    paths.append(write_sound(tmp_path / "gap.mka", TONE, codec="pcm_s16le", starts_s=(0, 3)))

    def times_s(path, **more):
        sampling = Sampling(frame_rate_hz=1, sample_rate_hz=16000)
        kind = make_encoder(EGEMAPS | {"window_s": 0.5, "hop_s": 0.25} | more).pieces(sampling)
        ((time_s, _),) = kind.cut(read_track(path, 16000))
        return time_s

    right_s = [1.25, 1.5], [0.25, 0.5, 0.75, 1, 3, 3.25, 3.5, 3.75]
    assert [times_s(path).tolist() for path in paths] == [pytest.approx(each) for each in right_s]
    too_short = times_s(paths[0], window_s=2.0, hop_s=2.0)  # a window of its own
    assert too_short == pytest.approx([1.48], abs=0.01)
    steps = [times_s(path, level="lld", window_s=None, hop_s=None) * 100 for path in paths]
    assert 97 < steps[0][0] < 103
    assert np.concatenate(steps) == pytest.approx(np.rint(np.concatenate(steps)), abs=1e-6)


@pytest.mark.parametrize(
    ("start_s", "windows_s", "n_lost", "first_s"),
    [
        (0.98, (0.5, 0.25), 20, 1.0),
        (0.1, (0.5, 0.25), -100, 0.0),
        (0.13, (0.5, 0.25), 120, 0.25),
        (0.02, (5.0, 5.0), -20, 0.0),
        (2.0, (5.0, 5.0), 3000, 5.0),
        (7.0, (5.0, 5.0), 0, 7.0),  # no window of the grid is filled
        (0.98, None, 0, 0.98),
    ],
)
def test_windows_start_on_the_clock_with_little_silence_before(start_s, windows_s, n_lost, first_s):
    samples = np.arange(1, 9001, dtype=np.float32)
    track = Track(samples[: 5000 if start_s == 7 else None], start_s, np.empty((0, 2)))
    heard = SoundPieces(1000, lambda sound, _: (np.zeros(1), sound[None]), windows_s)
    ((time_s, (sound,)),) = heard.cut(track)
    assert time_s.tolist() == pytest.approx([first_s])
    lost = track.samples[n_lost:] if n_lost >= 0 else np.pad(track.samples, (-n_lost, 0))
    assert np.array_equal(sound, lost)


@pytest.mark.parametrize("first", ["silent", "a comment"])
def test_of_several_streams_the_one_is_read_that_is_meant_to_be_heard(tmp_path, first):
    said = {"disposition": av.stream.Disposition.comment} if first == "a comment" else {}
    levels = (0 if first == "silent" else 0.1, 0.5, 0.2)
    streams = [audio(2 * level * TONE, "pcm_s16le") for level in levels]
    streams[0] = streams[0]._replace(said=streams[0].said | said)
    path = write_media(tmp_path / "several.mkv", *streams)
    assert np.abs(read_sound(path, 16000)).max() == pytest.approx(0.5, abs=0.01)


def scaled(scale, codec="pcm_f32le"):
    return lambda path: write_sound(path, np.r_[1, np.full(15999, scale)] * TONE, codec=codec)


def at_rate(rate_hz):
    return lambda path: path.write_bytes(wav(np.zeros(16000, np.int16), rate_hz))


@pytest.mark.parametrize(
    ("name", "write", "reason"),
    [
        ("none.mp4", lambda path: write_film(path, Film(sound_s=0)), "^stream: .*has no sound"),
        ("scaled.wav", scaled(32768), r"^decode: .* reach 1.638e\+04, not \[-1, 1\]: divide them"),
        ("scaled.wav", scaled(16), "reach 8, not"),
        ("scaled.wav", scaled(8, "pcm_f64le"), "reach 4, not"),
        ("scaled.mka", scaled(1e3, "aac"), "reach .* not"),
        ("scaled.wav", scaled(np.nan), "reach nan, not"),
        ("scaled.wav", scaled(np.inf, "pcm_f64le"), "reach inf, not"),
        ("slow.wav", at_rate(999), "^decode: a sample rate of 999 Hz, not 1,000 to"),
        ("fast.wav", at_rate(2**31 - 1), "rate of 2,147,483,647 Hz, not"),
    ],
)
def test_what_is_no_sound_is_refused(tmp_path, name, write, reason):
    write(tmp_path / name)
    with pytest.raises(MediaError, match=reason):
        read_sound(tmp_path / name, 16000)


def test_sound_may_last_as_long_as_allowed(make_clip, monkeypatch):
    path = make_clip(n_frames=0, sound_s=2)
    read_sound(path, 8000, max_duration_s=2.1)
    with pytest.raises(MediaError, match=r"the sound lasts more than 1 s"):
        read_sound(path, 8000, max_duration_s=1)
    assert MAX_SOUND_S == 4 * 3600
    monkeypatch.setattr("features.media.sound.MAX_SOUND_S", 1.5)
    with pytest.raises(MediaError, match=r"the sound lasts more than 1.5 s"):
        read_sound(path, 8000)


@pytest.mark.parametrize(
    ("name", "codec", "reason"),
    [
        ("cut.mp4", "", r"of 1\.92 s of the audio decode: the file is damaged"),
        ("cut.webm", "libopus", r"the audio ends after .* of 30\.\d+ s"),
        ("cut.flac", "flac", r"the audio ends after .* of 30\.\d+ s"),
        ("cut.mp3", "libmp3lame", r"the audio ends after .* of 30\.\d+ s"),
        ("cut.au", "pcm_s16be", r"the audio ends after .* of 30\.\d+ s"),
        ("cut.tta", "tta", r"the audio ends after .* of 30\.\d+ s"),
        ("cut.wav", "pcm_s16le", r"only \d+ of \d+ bytes are there"),
        ("cut.avi", "pcm_s16le", r"only \d+ of \d+ bytes are there"),
        ("cut.w64", "pcm_s16le", r"only \d+ of \d+ bytes are there"),
    ],
)
def test_a_clip_that_lost_the_end_of_its_sound_is_damaged(tmp_path, name, codec, reason):
    film = Film(times_s=(), sound_s=30.0, sound_codec=codec) if codec else FILMS["index_first.mp4"]
    path = write_film(tmp_path / name, film)
    content = path.read_bytes()
    assert len(read_sound(path, 16000)) == pytest.approx(probe(path).duration_s * 16000, rel=0.06)
    path.write_bytes(content[: int(len(content) * (0.5 if codec else 0.8))])
    with pytest.raises(MediaError, match=f"^decode: .*{reason}"):
        read_sound(path, 16000)


@pytest.mark.parametrize("n_bytes", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_sound_whose_header_was_written_before_it_is_whole(tmp_path, n_bytes):
    content = bytearray(wav(np.full(16000, 5000, np.int16), 16000))
    content[4:8] = content[40:44] = n_bytes.to_bytes(4, "little")
    path = tmp_path / "piped.wav"
    path.write_bytes(content)
    assert probe(path).duration_s == 1
    assert difference(read_sound(path, 16000), np.full(16000, 5000 / 32768)) < 1e-4
