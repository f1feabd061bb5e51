"""Sound out of one media file, as one channel at one rate, with PyAV."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from features.errors import MediaError
from features.media.files import (
    MIN_DECODED_SHARE,
    check_codec,
    check_end,
    decode_packets,
    open_media,
)

SAMPLE_RATES_HZ = (1000, 1_000_000)
"""Sound outside is refused: bringing it to another rate takes gigabytes."""

MAX_SOUND_S = 4 * 3600.0
"""Longer sound than this is refused, for it is held as a whole: 230 MB per hour at 16 kHz."""

_RUN_IN_FRAMES = 3


def read_sound(
    path: Path, sample_rate_hz: int, *, max_duration_s: float = MAX_SOUND_S
) -> NDArray[np.float32]:
    """Decode the first audio stream to one channel.

    Parameters
    ----------
    path : Path
        A file with sound.
    sample_rate_hz : int
        Of the samples that are returned.
    max_duration_s : float
        Longer sound is an error; at most `MAX_SOUND_S`.

    Returns
    -------
    ndarray of float32, shape (n_samples,)
        Samples in [-1, 1] at `sample_rate_hz`, channels mixed down.

    Raises
    ------
    MediaError
        Step ``stream`` without sound; ``decode`` when no sample decodes, when it is longer than
        `max_duration_s`, when the rate is not within `SAMPLE_RATES_HZ`, or when less than
        `MIN_DECODED_SHARE` of the promised sound decodes.
    """
    limit_s = min(max_duration_s, MAX_SOUND_S)
    with open_media(path, step="decode") as container:
        if not container.streams.audio:
            raise MediaError("stream", "the clip has no sound")
        audio = container.streams.audio[0]
        check_codec(audio)
        frames = _AudioFrames(decode_packets(container, audio))
        chunks = []
        n_samples = 0
        for chunk in _resampled(frames, sample_rate_hz):
            chunks.append(chunk)
            n_samples += len(chunk)
            if n_samples > limit_s * sample_rate_hz:
                raise MediaError("decode", f"the sound lasts more than {limit_s:g} s")
        if n_samples == 0:
            raise MediaError("decode", "the audio stream holds no sample that decodes")
        _check_sound(frames, audio)
    return np.concatenate(chunks)


class _AudioFrames:
    """Frames of sound on their way through, and how long they are."""

    def __init__(self, frames: Iterator[av.AudioFrame]) -> None:
        self._frames = frames
        self.total_s = 0.0
        self.longest_s = 0.0
        self.end_s: float | None = None  # by the file's clock, where it has one

    def __iter__(self) -> Iterator[av.AudioFrame]:
        lowest, highest = SAMPLE_RATES_HZ
        for frame in self._frames:
            if not lowest <= frame.sample_rate <= highest:
                raise MediaError(
                    "decode",
                    f"a sample rate of {frame.sample_rate:,} Hz, not {lowest:,} to {highest:,}",
                )
            length_s = frame.samples / frame.sample_rate
            self.total_s += length_s
            self.longest_s = max(self.longest_s, length_s)
            if frame.time is not None:
                self.end_s = frame.time + length_s
            yield frame


def _resampled(
    frames: Iterable[av.AudioFrame], sample_rate_hz: int
) -> Iterator[NDArray[np.float32]]:
    """Bring frames to one channel and rate, also where a stream changes its format midway."""
    for _, alike in itertools.groupby(frames, _format):
        resampler = av.AudioResampler(format="flt", layout="mono", rate=sample_rate_hz)
        for frame in alike:
            frame.pts = None  # gaps in the time stamps would be filled with silence, or refused
            yield from (part.to_ndarray()[0] for part in resampler.resample(frame))
        yield from (part.to_ndarray()[0] for part in resampler.resample(None))


def _format(frame: av.AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _check_sound(frames: _AudioFrames, stream: Any) -> None:
    """Compare the sound with what an index promises, where the file has one.

    Lengths without an index are guessed from bit rates. Those with one count gaps in the time
    stamps, which are no damage, so the number of frames counts as well; the first ones may be an
    encoder's run-in, which is not played.
    """
    if frames.end_s is not None:
        check_end(stream, frames.end_s)
    if not (stream.frames and stream.duration and stream.time_base):
        return
    promised_s = min(
        float(stream.duration * stream.time_base),
        (stream.frames - _RUN_IN_FRAMES) * frames.longest_s,
    )
    if frames.total_s < MIN_DECODED_SHARE * promised_s:
        raise MediaError(
            "decode",
            f"only {frames.total_s:.2f} of {promised_s:.2f} s of sound decode: the file is damaged",
        )
