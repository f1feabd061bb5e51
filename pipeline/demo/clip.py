"""One clip: a person plays a display, the camera films, the voice sounds, a file comes out."""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.demo.camera import Film, draw_room
from pipeline.demo.cues import MOVEMENTS, ByteImage, FloatArray, Movements
from pipeline.demo.face import draw_face
from pipeline.demo.intensities import Display, draw_display
from pipeline.demo.people import Person
from pipeline.demo.speech import CONTROL_RATE_HZ
from pipeline.demo.voice import SAMPLE_RATE_HZ, synthesise

_X264 = {"crf": "23", "preset": "veryfast", "threads": "1", "x264-params": "mbtree=0"}


@dataclass(frozen=True)
class ClipPlan:
    """All that decides one clip, so that any worker makes the same file of it.

    Parameters
    ----------
    labels
        Intensities, shape [n_emotions].
    """

    clip_id: str
    person: Person
    labels: FloatArray
    n_frames: int
    frame_rate_hz: int
    image_size_px: int
    seed: tuple[int, ...]
    has_sound: bool = True
    has_face: bool = True


def write_clip(plan: ClipPlan, path: Path) -> None:
    """Render a clip and write it as H.264 and AAC in mp4; the file appears when it is whole."""
    rng = np.random.default_rng(plan.seed)
    duration_s = plan.n_frames / plan.frame_rate_hz
    display = draw_display(plan.labels, duration_s, plan.person.expressiveness, rng)
    steps_s = np.arange(round(duration_s * CONTROL_RATE_HZ)) / CONTROL_RATE_HZ
    utterance = synthesise(plan.person.voice, display.vocal_cues(steps_s), rng)
    times_s = np.arange(plan.n_frames) / plan.frame_rate_hz
    mouth = np.interp(times_s, steps_s, utterance.mouth)
    frames = _film(plan, play(display, mouth, times_s, rng), rng)
    beside = path.with_suffix(".part.mp4")
    _encode(beside, frames, plan.frame_rate_hz, utterance.sound if plan.has_sound else None)
    beside.replace(path)


def play(
    display: Display, mouth: FloatArray, times_s: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Act out a display as a living, talking head.

    Parameters
    ----------
    mouth
        Opening of the speaking mouth at each moment, shape [n_times].

    Returns
    -------
    ndarray
        Movements of shape [n_times, n_movements].
    """
    movements = display.movements(times_s)
    column = {name: movements[:, index] for index, name in enumerate(MOVEMENTS)}
    column["speech"] += mouth * (1 - 0.6 * np.clip(column["mouth_open"], 0, 1))
    column["blink"] += _blinks(times_s, rng)
    column["turn"] += 0.3 * rng.normal() + 0.5 * _drift(times_s, rng)
    column["shift_x"] += 0.025 * _drift(times_s, rng)
    column["shift_y"] += 0.02 * _drift(times_s, rng)
    column["head_tilt"] += 0.06 * _drift(times_s, rng)
    phase = rng.uniform(0, 2 * np.pi)
    column["shift_y"] += 0.06 * column["bob"] * np.sin(2 * np.pi * 3.0 * times_s + phase)
    column["shift_x"] += 0.035 * column["tremble"] * np.sin(2 * np.pi * 5.3 * times_s + phase)
    return movements


def _film(plan: ClipPlan, movements: FloatArray, rng: np.random.Generator) -> list[ByteImage]:
    room = draw_room(plan.person, plan.image_size_px)
    film = Film(plan.person, plan.image_size_px)
    if not plan.has_face:
        return [film.expose(room, rng) for _ in movements]
    return [film.expose(draw_face(room, plan.person, Movements(*row)), rng) for row in movements]


def _blinks(times_s: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Close the lids for a fifth of a second every few seconds."""
    at_s = rng.uniform(0.3, 2.0) + np.cumsum(rng.uniform(1.5, 4.0, size=8)) - 1.5
    closed: FloatArray = np.exp(-(((times_s[:, None] - at_s) / 0.07) ** 2)).max(axis=1)
    return closed


def _drift(times_s: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Sway slowly and smoothly, about -1 to 1."""
    speeds_hz, phases = rng.uniform(0.15, 0.5, size=2), rng.uniform(0, 2 * np.pi, size=2)
    sway: FloatArray = np.sin(2 * np.pi * times_s[:, None] * speeds_hz + phases).mean(axis=1)
    return sway


def _encode(
    path: Path, frames: list[ByteImage], frame_rate_hz: int, sound: NDArray[np.float32] | None
) -> None:
    """Write an mp4 whose bytes depend on its content only: one thread, no dates, no versions.

    Macroblock trees are off because x264's AVX-512 code for them is not repeatable: the same
    frames gave other bytes in about one of eleven runs (libx264 in PyAV 18.1).
    """
    exact = {"fflags": "+bitexact", "movflags": "+faststart"}
    with av.open(str(path), "w", format="mp4", options=exact) as container:
        height, width, _ = frames[0].shape
        video = container.add_stream("libx264", rate=frame_rate_hz, options=_X264)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.flags |= av.codec.context.Flags.bitexact
        if sound is not None:
            audio = container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
            audio.bit_rate = 48_000
            audio.codec_context.flags |= av.codec.context.Flags.bitexact
        for image in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode(None))
        if sound is not None:
            block = av.AudioFrame.from_ndarray(sound[None, :], format="fltp", layout="mono")
            block.sample_rate = SAMPLE_RATE_HZ
            container.mux(audio.encode(block))
            container.mux(audio.encode(None))
