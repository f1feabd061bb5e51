"""The demo corpus: talking faces and their voices with known intensities, made from a seed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.arrays import DataError
from pipeline.demo import DemoSettings
from pipeline.demo.face import SIZE_PX, draw_picture
from pipeline.demo.rules import (
    EMOTIONS,
    FACE_CUES,
    FRAME_RATE_HZ,
    FloatArray,
    Person,
    act,
    draw_intensities,
    draw_person,
)
from pipeline.demo.voice import SAMPLE_RATE_HZ, speak

_N_FRAMES = (30, 60)
_SPLIT_ENDS = (0.6, 0.85)  # shares of people: Train, Val and Test
_X264 = {"crf": "23", "preset": "veryfast", "threads": "1", "x264-params": "mbtree=0"}


def write_corpus(folder: Path, settings: DemoSettings, targets: Sequence[str]) -> None:
    """Write ``clips/<clip_id>.mp4`` and ``labels.csv`` into a folder.

    The table has the columns clip_id, path (relative to the folder), split, group (the person), the
    targets, age and country. The targets of Test clips are blank, as in Hume-Reaction. One Train
    clip has no audio stream; in another the person has left the picture. `targets` are seven
    different names, in the order of `rules.EMOTIONS`; others are a `DataError`.
    """
    import joblib
    from rich.progress import track

    if len(targets) != len(EMOTIONS) or len(set(targets)) != len(targets):
        raise DataError(
            f"the demo shows {len(EMOTIONS)} emotions by a stated rule, but {len(targets)} targets "
            f"came ({', '.join(targets)}): give {len(EMOTIONS)} different names, which stand for "
            f"{', '.join(EMOTIONS)} in this order"
        )
    rng = np.random.default_rng(settings.seed)
    people = [draw_person(number, rng) for number in range(settings.n_people)]
    place = rng.permutation(settings.n_people) / settings.n_people
    split_of_person = np.array(["Train", "Val", "Test"])[np.digitize(place, _SPLIT_ENDS)]
    person_of_clip = np.repeat(np.arange(settings.n_people), settings.clips_per_person)
    n_clips, split = len(person_of_clip), split_of_person[person_of_clip]
    labels = draw_intensities(n_clips, rng)
    n_frames = rng.integers(*_N_FRAMES, size=n_clips)
    train = np.flatnonzero(split == "Train")
    lacks = {train[len(train) // 3]: "sound", train[2 * len(train) // 3]: "face"}

    (folder / "clips").mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame({"clip_id": [f"{number:05d}" for number in range(n_clips)]})
    table["path"] = "clips/" + table["clip_id"] + ".mp4"
    of_clip = [people[number] for number in person_of_clip]
    write = joblib.delayed(_write_clip)
    tasks = [
        write(folder / path, person, labels[n], n_frames[n], (settings.seed, n), lacks.get(n, ""))
        for n, (path, person) in enumerate(zip(table["path"], of_clip, strict=True))
    ]
    done = joblib.Parallel(n_jobs=joblib.cpu_count(), return_as="generator_unordered")(tasks)
    list(track(done, "demo clips", total=n_clips))
    table["split"] = split
    table["group"] = [person.person_id for person in of_clip]
    table[list(targets)] = np.where((split == "Test")[:, None], np.nan, labels)
    table["age"] = [person.age for person in of_clip]
    table["country"] = [person.country for person in of_clip]
    table.to_csv(folder / "labels.csv", index=False)


def write_clip(path: Path) -> None:
    """Write one clip of two seconds, with a face and a voice."""
    rng = np.random.default_rng(0)
    labels = draw_intensities(1, rng)[0]
    _write_clip(path, draw_person(0, rng), labels, 2 * FRAME_RATE_HZ, (0, 0), "")


def _write_clip(
    path: Path, person: Person, labels: FloatArray, n_frames: int, seed: tuple[int, int], lacks: str
) -> None:
    """Act out, film and record one clip; it may lack its ``sound`` or the ``face``."""
    rng = np.random.default_rng(seed)
    face, voice = act(labels, n_frames, person.expressiveness, rng)
    sound, mouth = speak(person, voice, rng)
    cues = dict(zip(FACE_CUES, face.T, strict=True))
    cues["speech"] = mouth[np.arange(n_frames) * SAMPLE_RATE_HZ // FRAME_RATE_HZ]
    frames = []
    for number in range(n_frames):
        now = {name: float(cue[number]) for name, cue in cues.items()}
        picture = draw_picture(person, None if lacks == "face" else now)
        grain = 2.5 * rng.standard_normal(picture.shape, dtype=np.float32)
        frames.append(np.clip(picture + grain, 0, 255).astype(np.uint8))
    _encode(path, frames, None if lacks == "sound" else sound)


def _encode(
    path: Path, frames: Sequence[NDArray[np.uint8]], sound: NDArray[np.float32] | None
) -> None:
    """Write an mp4 whose bytes depend on its content only: one thread, no dates, no versions.

    Macroblock trees are off because x264's AVX-512 code for them is not repeatable: the same
    frames gave other bytes in about one of eleven runs (libx264 in PyAV 18.1).
    """
    import av

    exact = {"fflags": "+bitexact", "movflags": "+faststart"}
    with av.open(str(path), "w", format="mp4", options=exact) as container:
        video = container.add_stream("libx264", rate=FRAME_RATE_HZ, options=_X264)
        video.width, video.height, video.pix_fmt = SIZE_PX, SIZE_PX, "yuv420p"
        video.codec_context.flags |= av.codec.context.Flags.bitexact
        if sound is not None:
            audio = container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
            audio.bit_rate = 48_000
            audio.codec_context.flags |= av.codec.context.Flags.bitexact
        for image in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(video.encode(None))
        if sound is not None:
            block = av.AudioFrame.from_ndarray(sound[None, :], format="fltp", layout="mono")
            block.sample_rate = SAMPLE_RATE_HZ
            for each in (block, None):
                container.mux(audio.encode(each))
