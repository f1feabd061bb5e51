"""Sound out of one media file, as one channel at one rate, on the clock of the clip, with PyAV."""

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from features.errors import MediaError
from features.media.files import open_media
from features.media.mixing import Mixer
from features.media.streams import (
    MIN_DECODED_SHARE,
    audio_streams,
    check_codec,
    check_end,
    clip_start_s,
    decode_packets,
)

SAMPLE_RATES_HZ = (1000, 1_000_000)
"""Sound outside is refused: bringing it to another rate takes gigabytes."""

MAX_SOUND_S = 4 * 3600.0
"""Longer sound than this is refused, for it is held as a whole: 230 MB per hour at 16 kHz."""

MIN_GAP_S = 0.1
"""Time stamps this much later than the samples before them leave a gap; less is jitter.

As FFmpeg's own programs have it (``aresample=async=1``).
"""

MAX_FLOAT_PEAK = 2.0
"""Uncompressed floats beyond this are in another scale than [-1, 1]."""

MAX_BEYOND_PEAK = 0.01
"""Coded sound may hold this share of samples beyond `MAX_FLOAT_PEAK`: a damaged packet's crack."""

SILENT_PEAK = 1e-4
"""A stream that never exceeds this, three steps of 16 bits, holds no sound: others are tried."""

_NO_CLOCK = {"aac", "ac3", "amr", "dts", "eac3", "mp3"}
"""Formats of bare sound, whose time stamps FFmpeg makes up from the first frame's length."""

_RUN_IN_FRAMES = 3


@dataclass(frozen=True, repr=False, eq=False)
class Track:
    """A clip's sound, from where it starts to where it ends.

    Attributes
    ----------
    samples : ndarray of float32, shape (n_samples,)
        In [-1, 1], one channel; zeros in gaps.
    sample_rate_hz : int
        Samples per second.
    start_s : float
        When the first sample is, in clip time.
    gaps_s : ndarray of float64, shape (n_gaps, 2)
        Begin and end of each stretch without sound in between, in clip time.
    """

    samples: NDArray[np.float32]
    sample_rate_hz: int
    start_s: float
    gaps_s: NDArray[np.float64]

    def __repr__(self) -> str:
        return f"Track({self.samples.shape} at {self.sample_rate_hz} Hz from {self.start_s:g} s)"

    def is_gap(self, time_s: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which moments lie in a gap."""
        begin_s, end_s = self.gaps_s.T
        within = (time_s[:, None] > begin_s) & (time_s[:, None] < end_s)
        return np.asarray(within.any(axis=1))


def read_sound(
    path: Path, sample_rate_hz: int, *, max_duration_s: float = MAX_SOUND_S
) -> NDArray[np.float32]:
    """Decode a clip's sound to one channel; sample k is heard at ``k / sample_rate_hz``.

    As `read_track`, with silence before sound that starts later than the clip.
    """
    track = read_track(path, sample_rate_hz, max_duration_s=max_duration_s)
    return np.pad(track.samples, (round(track.start_s * sample_rate_hz), 0))


def read_track(path: Path, sample_rate_hz: int, *, max_duration_s: float = MAX_SOUND_S) -> Track:
    """Decode a clip's sound to one channel.

    Of several audio streams the one is taken that a player plays, or if that is silent the next
    one that is not. How channels are mixed: `features.media.mixing`. Samples are clipped to
    [-1, 1].

    Parameters
    ----------
    path : Path
        A file with sound.
    sample_rate_hz : int
        Of the samples that are returned.
    max_duration_s : float
        Sound that ends later than this is an error; at most `MAX_SOUND_S`.

    Returns
    -------
    Track
        The sound, and when it is.

    Raises
    ------
    MediaError
        Step ``stream`` without sound; ``decode`` when no sample decodes, when it is longer than
        `max_duration_s`, when the rate is not within `SAMPLE_RATES_HZ`, when less than
        `MIN_DECODED_SHARE` of the promised sound decodes, or when samples are no numbers or in
        another scale than [-1, 1].
    """
    limit_s = min(max_duration_s, MAX_SOUND_S)
    with open_media(path, step="decode") as container:
        streams = [stream.index for stream in audio_streams(container)]
    if not streams:
        raise MediaError("stream", "the clip has no sound")
    silent = []
    for stream in streams:
        mixer = Mixer()
        track = _read_stream(path, stream, mixer, sample_rate_hz, limit_s)
        if mixer.correct():
            track = _read_stream(path, stream, mixer, sample_rate_hz, limit_s)
        if np.abs(track.samples).max() > SILENT_PEAK:
            return track
        silent.append(track)
    return silent[0]


def _read_stream(
    path: Path, number: int, mixer: Mixer, sample_rate_hz: int, limit_s: float
) -> Track:
    with open_media(path, step="decode") as container:
        stream = container.streams[number]
        assert isinstance(stream, AudioStream)
        check_codec(stream)
        frames = _AudioFrames(container, stream)
        parts: list[NDArray[np.float32]] = []
        gaps_s = []
        n_samples = 0
        start_s: float | None = None
        for run_start_s, run in frames.runs():
            start_s = run_start_s if start_s is None else start_s
            n_missing = round((run_start_s - start_s) * sample_rate_hz) - n_samples
            if n_missing > 0:
                if n_missing > MIN_GAP_S / 2 * sample_rate_hz:  # less is rounding
                    gaps_s.append((start_s + n_samples / sample_rate_hz, run_start_s))
                _check_length(run_start_s, limit_s)
                parts.append(np.zeros(n_missing, np.float32))
                n_samples += n_missing
            for part in _resampled((mixer.mix(frame) for frame in run), sample_rate_hz):
                parts.append(part)
                n_samples += len(part)
                _check_length(start_s + n_samples / sample_rate_hz, limit_s)
        if start_s is None or n_samples == 0:
            raise MediaError("decode", "the audio stream holds no sample that decodes")
        _check_whole(frames, stream)
        samples = np.concatenate(parts)
        _check_scale(samples, stream.codec_context.name)
    np.clip(samples, -1, 1, out=samples)
    return Track(samples, sample_rate_hz, start_s, np.array(gaps_s, np.float64).reshape(-1, 2))


class _AudioFrames:
    """Frames of sound on their way through, and how long they are."""

    def __init__(self, container: InputContainer, stream: AudioStream) -> None:
        self._frames = decode_packets(container, stream)
        start_s = clip_start_s(container)
        self._clip_start_s = None if start_s is None else float(start_s)
        self._has_clock = container.format.name not in _NO_CLOCK
        # A jump beyond the end that the header promises is a damaged time stamp, and no gap.
        duration_s = container.duration / av.time_base if container.duration else math.inf
        self._latest_start_s = duration_s + 1
        self.total_s = 0.0
        self.longest_s = 0.0
        self.end_s: float | None = None  # by the file's clock, where it has one

    def runs(self) -> Iterator[tuple[float, Iterator[av.AudioFrame]]]:
        """Yield stretches of one format without a gap, each with its start in clip time."""
        for (_, start_s), frames in itertools.groupby(self._numbered(), lambda each: each[:2]):
            yield start_s, (frame for *_, frame in frames)

    def _numbered(self) -> Iterator[tuple[int, float, av.AudioFrame]]:
        number, form = 0, None
        start_s = expected_s = 0.0  # of this run; of the next frame, in clip time
        shift_s = 0.0  # of time stamps that go back, or beyond the end: they begin anew
        for frame in self._checked():
            lead_s = 0.0
            if frame.time is not None and self._has_clock:
                if self._clip_start_s is None:
                    self._clip_start_s = frame.time
                lead_s = frame.time - self._clip_start_s + shift_s - expected_s
                if lead_s < -MIN_GAP_S or expected_s + lead_s > self._latest_start_s:
                    shift_s -= lead_s
                    lead_s = 0.0
            if number == 0 or lead_s > MIN_GAP_S:
                number, start_s = number + 1, expected_s + max(lead_s, 0.0)
                expected_s = start_s
            elif form != _format(frame):
                number, start_s = number + 1, expected_s
            form = _format(frame)
            expected_s += frame.samples / frame.sample_rate
            yield number, start_s, frame

    def _checked(self) -> Iterator[av.AudioFrame]:
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
    """Bring frames of one channel and format to one rate."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=sample_rate_hz)
    for frame in itertools.chain(frames, [None]):
        yield from (part.to_ndarray()[0] for part in resampler.resample(frame))


def _format(frame: av.AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _check_length(end_s: float, limit_s: float) -> None:
    if end_s > limit_s:
        raise MediaError("decode", f"the sound lasts more than {limit_s:g} s")


def _check_scale(samples: NDArray[np.float32], codec: str) -> None:
    """Refuse what would be noise: decoders of music overshoot a little, and are clipped."""
    peak = float(np.abs(samples).max())
    reason = None
    if not np.isfinite(samples).all():
        reason = "its samples are not all numbers (NaN or infinite)"
    elif codec.startswith("pcm_f") and peak > MAX_FLOAT_PEAK:
        reason = f"its samples reach {peak:.4g}, not [-1, 1]: divide them by their scale"
    elif float(np.mean(np.abs(samples) > MAX_FLOAT_PEAK)) > MAX_BEYOND_PEAK:
        reason = f"its samples reach {peak:.4g}, not [-1, 1]: it is damaged or in another scale"
    if reason:
        raise MediaError("decode", f"the sound is no sound: {reason}")


def _check_whole(frames: _AudioFrames, stream: Any) -> None:
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
