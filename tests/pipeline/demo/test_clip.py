import dataclasses

import av
import numpy as np
import pytest

from pipeline.demo.clip import ClipPlan, play, write_clip
from pipeline.demo.cues import MOVEMENTS
from pipeline.demo.intensities import RULES, draw_display
from pipeline.demo.people import draw_people


@pytest.fixture(scope="module")
def plan():
    return ClipPlan(
        clip_id="00000",
        person=draw_people(16, np.random.default_rng(0))[0],
        labels=np.eye(len(RULES))[1],
        n_frames=18,
        frame_rate_hz=15,
        image_size_px=96,
        seed=(0, 0),
    )


@pytest.fixture(scope="module")
def written(plan, tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "00000.mp4"
    write_clip(plan, path)
    return path


def decode(path):
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return np.stack(frames)


def test_a_clip_is_h264_and_aac_in_mp4(written):
    with av.open(str(written)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert "mp4" in container.format.name
        assert (video.codec.name, video.pix_fmt) == ("h264", "yuv420p")
        assert (video.width, video.height) == (96, 96)
        assert float(video.average_rate) == 15
        assert (audio.codec.name, audio.rate, audio.layout.name) == ("aac", 16_000, "mono")


def test_every_frame_and_all_the_sound_can_be_decoded(written):
    assert decode(written).shape == (18, 96, 96, 3)
    with av.open(str(written)) as container:
        samples = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
    assert len(samples) / 16_000 == pytest.approx(18 / 15, abs=0.13)  # AAC pads to its blocks
    assert np.abs(samples).max() > 0.02


def test_the_same_plan_gives_the_same_bytes_and_leaves_nothing_beside(plan, written, tmp_path):
    again = tmp_path / "again.mp4"
    write_clip(plan, again)
    assert again.read_bytes() == written.read_bytes()
    assert list(tmp_path.iterdir()) == [again]


def test_another_seed_gives_another_clip(plan, written, tmp_path):
    write_clip(dataclasses.replace(plan, seed=(0, 1)), tmp_path / "other.mp4")
    assert (tmp_path / "other.mp4").read_bytes() != written.read_bytes()


def test_a_silent_clip_has_no_audio_stream_and_the_same_picture(plan, written, tmp_path):
    write_clip(dataclasses.replace(plan, has_sound=False), tmp_path / "silent.mp4")
    with av.open(str(tmp_path / "silent.mp4")) as container:
        assert not container.streams.audio
    assert np.array_equal(decode(tmp_path / "silent.mp4"), decode(written))


def test_a_clip_without_a_face_shows_a_still_room_and_keeps_the_voice(plan, written, tmp_path):
    write_clip(dataclasses.replace(plan, has_face=False), tmp_path / "empty.mp4")
    with av.open(str(tmp_path / "empty.mp4")) as container:
        assert container.streams.audio
    empty, faced = decode(tmp_path / "empty.mp4").astype(float), decode(written).astype(float)
    assert np.abs(np.diff(empty, axis=0)).mean() < 0.5 * np.abs(np.diff(faced, axis=0)).mean()


def test_the_mouth_in_the_picture_follows_the_voice():
    times_s = np.arange(45) / 15
    mouth = np.abs(np.sin(4 * times_s))
    display = draw_display(np.eye(len(RULES))[2], 3.0, 1.0, np.random.default_rng(0))
    movements = play(display, mouth, times_s, np.random.default_rng(1))
    assert movements.shape == (45, len(MOVEMENTS))
    speech = movements[:, MOVEMENTS.index("speech")]
    assert np.corrcoef(speech, mouth)[0, 1] > 0.9


def test_amusement_makes_the_head_bob_once_the_reaction_has_begun():
    times_s = np.arange(60) / 15
    display = draw_display(np.eye(len(RULES))[1], 4.0, 1.0, np.random.default_rng(0))
    movements = play(display, np.zeros(60), times_s, np.random.default_rng(1))
    height = np.diff(movements[:, MOVEMENTS.index("shift_y")])
    assert height[45:].std() > 5 * height[:15].std()
