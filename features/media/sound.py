"""Sound out of one media file, as one channel at one rate, on the clock of the clip, with PyAV.

The channel is the mean of those that hold sound, so that a voice is equally loud in a mono clip, on
two channels or six, or on one of two.
"""

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from features.errors import MediaError
from features.media.files import (
    BARE_SOUND,
    audio_streams,
    check_codec,
    check_whole,
    clip_start_s,
    decode_packets,
    open_media,
)

SAMPLE_RATES_HZ = (1000, 1_000_000)  # bringing others to another rate takes gigabytes
MAX_SOUND_S = 4 * 3600.0  # sound is held as a whole: 230 MB per hour at 16 kHz
MAX_CHANNELS = 64
MAX_FLOAT_PEAK = 2.0  # uncompressed floats beyond this are in another scale than [-1, 1]
MAX_BEYOND_PEAK = 0.01  # share of coded samples that may be: a damaged packet's crack

MIN_GAP_S = 0.1
"""Time stamps this much later than the samples before them leave a gap; less is jitter.

As FFmpeg's own programs have it (``aresample=async=1``).
"""

SILENT_PEAK = 1e-4
"""A stream that never exceeds this, three steps of 16 bits, holds no sound: others are tried."""

SILENT_CHANNEL = 0.01
"""A channel with less than this share of the loudest one's level (-40 dB) holds no sound.

Encoders leave -77 dB or less on a silent channel beside a voice, an unused microphone's hiss lies
around -50 dB; what a second person's microphone hears of the first lies above -30 dB.
"""

OPPOSITE = -0.5
"""A channel with less than this correlation with the loudest one was wired the wrong way round."""

_BLOCK_SAMPLES = 16_384

_Matrices = dict[str, NDArray[np.float64]]  # by the layout of channels, which may change midway


@dataclass(frozen=True, repr=False, eq=False)
class Track:
    """A clip's sound, from where it starts to where it ends.

    Attributes
    ----------
    samples : ndarray of float32, shape (n_samples,)
        In [-1, 1], one channel; zeros in gaps.
    start_s : float
        When the first sample is, in clip time.
    gaps_s : ndarray of float64, shape (n_gaps, 2)
        Begin and end of each stretch without sound in between, in clip time.
    """

    samples: NDArray[np.float32]
    start_s: float
    gaps_s: NDArray[np.float64]

    def __repr__(self) -> str:
        return f"Track({self.samples.shape} from {self.start_s:g} s)"

    def is_gap(self, time_s: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which moments lie in a gap."""
        begin_s, end_s = self.gaps_s.T
        within = (time_s[:, None] > begin_s) & (time_s[:, None] < end_s)
        return np.asarray(within.any(axis=1))


def read_track(path: Path, sample_rate_hz: int, *, max_duration_s: float = MAX_SOUND_S) -> Track:
    """Decode a clip's sound to one channel.

    Of several audio streams the one is taken that a player plays, or if that is silent the next
    one that is not. Samples are clipped to [-1, 1].

    Parameters
    ----------
    path : Path
        A file with sound.
    sample_rate_hz : int
        Of the samples that are returned.
    max_duration_s : float
        Sound that ends later than this is an error; at most `MAX_SOUND_S`.

    Raises
    ------
    MediaError
        Step ``stream`` without sound; ``decode`` when no sample decodes, or less than was promised
        (`check_whole`), or when it is longer than `max_duration_s` or beyond the bounds above.
    """
    limit_s = min(max_duration_s, MAX_SOUND_S)
    silent = None
    for rank in itertools.count():
        weights, products = _Matrices(), _Matrices()
        track = _read_stream(path, rank, weights, products, sample_rate_hz, limit_s)
        better = {name: _weights(products[name], weights[name] > 0) for name in weights}
        if any(not np.array_equal(weights[name], better[name]) for name in weights):
            track = _read_stream(path, rank, better, products, sample_rate_hz, limit_s)
        if track is None or np.abs(track.samples).max() > SILENT_PEAK:
            break
        silent = silent or track
    if found := track or silent:
        return found
    raise MediaError("stream", "the clip has no sound")


def _read_stream(
    path: Path, rank: int, weights: _Matrices, products: _Matrices, rate_hz: int, limit_s: float
) -> Track | None:
    """Read the stream that a player plays as its `rank`-th; None where there are fewer.

    Its channels are mixed, and measured, as `_mixed` does.
    """
    with open_media(path, step="decode") as container:
        streams = audio_streams(container)
        if rank >= len(streams):
            return None
        stream: Any = streams[rank]
        check_codec(stream)
        parts: list[NDArray[np.float32]] = []
        gaps_s, n_samples, first_s = [], 0, None
        for start_s, run in itertools.groupby(_timed(stream, limit_s), lambda each: each[0]):
            first_s = start_s if first_s is None else first_s
            n_missing = max(round((start_s - first_s) * rate_hz) - n_samples, 0)
            if n_missing > MIN_GAP_S / 2 * rate_hz:  # less is rounding
                gaps_s.append((first_s + n_samples / rate_hz, start_s))
            heard = _mixed(_joined(frame for _, frame in run), weights, products)
            silence = np.zeros(n_missing, np.float32)
            parts.append(np.concatenate([silence, *_resampled(heard, rate_hz)]))
            n_samples += len(parts[-1])
        if first_s is None or n_samples == 0:
            raise MediaError("decode", "the audio stream holds no sample that decodes")
        samples = np.concatenate(parts)
        peak, share = np.abs(samples).max(), np.mean(np.abs(samples) > MAX_FLOAT_PEAK)
        # Decoders of music overshoot a little, and are clipped; the rest would be noise.
        is_float = stream.codec_context.name.startswith("pcm_f")
        if not np.isfinite(peak) or share > (0 if is_float else MAX_BEYOND_PEAK):
            reason = f"its samples reach {peak:.4g}, not [-1, 1]: divide them by their scale"
            raise MediaError("decode", f"the sound is no sound, or damaged: {reason}")
    np.clip(samples, -1, 1, out=samples)
    return Track(samples, first_s, np.array(gaps_s, np.float64).reshape(-1, 2))


def _timed(stream: Any, limit_s: float) -> Iterator[tuple[float, av.AudioFrame]]:
    """Decode frames, each with the start of its run, in clip time; then check what came.

    A run is a stretch of one format without a gap.
    """
    container, (lowest, highest) = stream.container, SAMPLE_RATES_HZ
    begin = clip_start_s(container)
    begin_s = None if begin is None else float(begin)
    # A jump beyond the end that the header promises is a damaged time stamp, and no gap.
    latest_s = (container.duration / av.time_base if container.duration else math.inf) + 1
    form: tuple[str, str, int] | None = None
    start_s = expected_s = 0.0  # of this run; of the next frame, in clip time
    shift_s = 0.0  # of time stamps that go back, or beyond the end: they begin anew
    end_s, decoded_s, longest_s = math.inf, 0.0, 0.0
    for frame in decode_packets(container, stream):
        if not lowest <= frame.sample_rate <= highest:
            reason = f"a sample rate of {frame.sample_rate:,} Hz, not {lowest:,} to {highest:,}"
            raise MediaError("decode", reason)
        length_s, lead_s = frame.samples / frame.sample_rate, 0.0
        decoded_s, longest_s = decoded_s + length_s, max(longest_s, length_s)
        if frame.time is not None:
            end_s = frame.time + length_s
            begin_s = frame.time if begin_s is None else begin_s
            if container.format.name not in BARE_SOUND:
                lead_s = frame.time - begin_s + shift_s - expected_s
            if lead_s < -MIN_GAP_S or expected_s + lead_s > latest_s:
                shift_s -= lead_s
                lead_s = 0.0
        is_apart = form is None or lead_s > MIN_GAP_S
        if is_apart:
            expected_s += max(lead_s, 0.0)
        this_form = frame.format.name, frame.layout.name, frame.sample_rate
        if is_apart or this_form != form:
            start_s, form = expected_s, this_form
        expected_s += length_s
        if expected_s > limit_s + 1e-6:  # rounding
            raise MediaError("decode", f"the sound lasts more than {limit_s:g} s")
        yield start_s, frame
    check_whole(stream, end_s, decoded_s, longest_s)


def _joined(frames: Iterable[av.AudioFrame]) -> Iterator[av.AudioFrame]:
    """Join frames of one format to blocks: some 1,000 samples are done sooner than called for."""
    fifo = av.AudioFifo()
    for frame in frames:
        frame.pts = None
        fifo.write(frame)
        yield from fifo.read_many(_BLOCK_SAMPLES)
    yield from fifo.read_many(_BLOCK_SAMPLES, partial=True)


def _resampled(frames: Iterable[av.AudioFrame], rate_hz: int) -> Iterator[NDArray[np.float32]]:
    """Bring frames of one channel and format to one rate."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate_hz)
    for frame in itertools.chain(frames, [None]):
        yield from (part.to_ndarray()[0] for part in resampler.resample(frame))


def _mixed(
    blocks: Iterable[av.AudioFrame], weights: _Matrices, products: _Matrices
) -> Iterator[av.AudioFrame]:
    """Yield blocks of one format with their channels mixed down, without time stamps.

    Channels weigh what `weights` says. What it lacks is added: all weigh the same, without those
    for low tones (LFE) where there are others. Products of the channels with each other are added
    up in `products`; the last row has the sums of the channels, and the number of samples.
    """
    to_float: av.AudioResampler | None = None
    for block in blocks:
        layout, n_channels = block.layout.name, block.layout.nb_channels
        if layout == "mono":
            yield block
            continue
        if n_channels > MAX_CHANNELS:
            raise MediaError("decode", f"more than {MAX_CHANNELS} channels of sound")
        if layout not in weights:
            heard = np.array([c.name not in {"LFE", "LFE2"} for c in block.layout.channels])
            heard |= not heard.any()
            weights[layout] = heard / heard.sum()
            products[layout] = np.zeros((n_channels + 1, n_channels + 1))
        to_float = to_float or av.AudioResampler("fltp", block.layout, block.sample_rate)
        for planar in to_float.resample(block):
            rows = np.ones((n_channels + 1, planar.samples), np.float32)
            planes: Any = planar.planes  # PyAV 18 lists more where there are eight
            for row, plane in zip(rows[:-1], planes, strict=False):
                row[:] = np.frombuffer(plane, np.float32, planar.samples)
            with np.errstate(invalid="ignore"):  # infinite samples are refused in the end
                products[layout] += rows @ rows.T
            mixed = np.float32(weights[layout]) @ rows[:-1]
            mono = av.AudioFrame.from_ndarray(mixed[None], format="flt", layout="mono")
            mono.sample_rate = block.sample_rate
            yield mono


def _weights(products: NDArray[np.float64], heard: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weigh channels by what was measured, those alike that hold sound of all that may be heard."""
    products = products / max(products[-1, -1], 1)
    mean = products[-1, :-1]
    covariance = products[:-1, :-1] - np.outer(mean, mean)
    level = np.sqrt(np.maximum(np.diag(covariance), 0))  # without a constant offset
    if not level[heard].any():
        heard = np.ones_like(heard)
    loudest = int(np.argmax(level * heard))
    has_sound = heard & (level >= SILENT_CHANNEL * level[loudest])
    opposite = (covariance[loudest] < OPPOSITE * level * level[loudest]) & (level > 0)
    sign = np.where(opposite, -1.0, 1.0)
    return np.asarray(sign * has_sound / max(has_sound.sum(), 1))
