"""Sound out of one media file, as one channel at one rate, on the clock of the clip, with PyAV.

The channel is the mean of those that hold sound, so that a voice is equally loud in a mono clip, on
two channels or six, or on one of two.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from features.errors import MediaError
from features.media.files import (
    BARE_SOUND,
    audio_streams,
    check_codec,
    check_end,
    check_share,
    clip_start_s,
    decode_packets,
    open_media,
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

MAX_CHANNELS = 64

SILENT_CHANNEL = 0.01
"""A channel with less than this share of the loudest one's level (-40 dB) holds no sound.

Encoders leave -77 dB or less on a silent channel beside a voice, an unused microphone's hiss lies
around -50 dB; what a second person's microphone hears of the first lies above -30 dB.
"""

OPPOSITE = -0.5
"""A channel with less than this correlation with the loudest one was wired the wrong way round."""

_RUN_IN_FRAMES = 3
_BLOCK_SAMPLES = 16_384


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
        Step ``stream`` without sound; ``decode`` when no sample decodes, when it is longer than
        `max_duration_s`, when the rate is not within `SAMPLE_RATES_HZ`, when less of the promised
        sound decodes than `features.media.files.MIN_DECODED_SHARE`, or when samples are no numbers
        or in another scale than [-1, 1].
    """
    limit_s = min(max_duration_s, MAX_SOUND_S)
    silent = None
    for rank in itertools.count():
        mixer = _Mixer()
        track = _read_stream(path, rank, mixer, sample_rate_hz, limit_s)
        if track is not None and mixer.correct():
            track = _read_stream(path, rank, mixer, sample_rate_hz, limit_s)
        if track is None or np.abs(track.samples).max() > SILENT_PEAK:
            break
        silent = silent or track
    if found := track or silent:
        return found
    raise MediaError("stream", "the clip has no sound")


def _read_stream(
    path: Path, rank: int, mixer: "_Mixer", rate_hz: int, limit_s: float
) -> Track | None:
    """Read the stream that a player plays as its `rank`-th; None where there are fewer."""
    with open_media(path, step="decode") as container:
        streams = audio_streams(container)
        if rank >= len(streams):
            return None
        stream: Any = streams[rank]
        check_codec(stream)
        spans: list[tuple[float | None, float]] = []
        timed = _timed(container, stream, spans)
        parts: list[NDArray[np.float32]] = []
        gaps_s = []
        n_samples = 0
        start_s: float | None = None
        for (_, run_start_s), run in itertools.groupby(timed, lambda each: each[:2]):
            start_s = run_start_s if start_s is None else start_s
            _check_length(run_start_s, limit_s)
            n_missing = max(round((run_start_s - start_s) * rate_hz) - n_samples, 0)
            if n_missing > MIN_GAP_S / 2 * rate_hz:  # less is rounding
                gaps_s.append((start_s + n_samples / rate_hz, run_start_s))
            parts.append(np.zeros(n_missing, np.float32))
            n_samples += n_missing
            for part in _resampled(mixer.mix(_joined(frame for *_, frame in run)), rate_hz):
                parts.append(part)
                n_samples += len(part)
                _check_length(start_s + n_samples / rate_hz, limit_s)
        if start_s is None or n_samples == 0:
            raise MediaError("decode", "the audio stream holds no sample that decodes")
        _check_whole(stream, spans)
        samples = np.concatenate(parts)
        _check_scale(samples, stream.codec_context.name)
    np.clip(samples, -1, 1, out=samples)
    return Track(samples, start_s, np.array(gaps_s, np.float64).reshape(-1, 2))


def _timed(
    container: InputContainer, stream: Any, spans: list[tuple[float | None, float]]
) -> Iterator[tuple[int, float, av.AudioFrame]]:
    """Decode frames, each with the number and the start of its run, in clip time.

    A run is a stretch of one format without a gap. When frames begin by the file's clock, and how
    long they are, is added to `spans`.
    """
    lowest, highest = SAMPLE_RATES_HZ
    is_timed = container.format.name not in BARE_SOUND
    start = clip_start_s(container)
    begin_s = None if start is None else float(start)
    # A jump beyond the end that the header promises is a damaged time stamp, and no gap.
    latest_s = (container.duration / av.time_base if container.duration else math.inf) + 1
    number, form = 0, None
    start_s = expected_s = 0.0  # of this run; of the next frame, in clip time
    shift_s = 0.0  # of time stamps that go back, or beyond the end: they begin anew
    for frame in decode_packets(container, stream):
        if not lowest <= frame.sample_rate <= highest:
            reason = f"a sample rate of {frame.sample_rate:,} Hz, not {lowest:,} to {highest:,}"
            raise MediaError("decode", reason)
        time_s, length_s = frame.time, frame.samples / frame.sample_rate
        spans.append((time_s, length_s))
        lead_s = 0.0
        if time_s is not None and is_timed:
            begin_s = time_s if begin_s is None else begin_s
            lead_s = time_s - begin_s + shift_s - expected_s
            if lead_s < -MIN_GAP_S or expected_s + lead_s > latest_s:
                shift_s -= lead_s
                lead_s = 0.0
        is_apart = number == 0 or lead_s > MIN_GAP_S
        if is_apart:
            expected_s += max(lead_s, 0.0)
        this_form = frame.format.name, frame.layout.name, frame.sample_rate
        if is_apart or this_form != form:
            number, start_s, form = number + 1, expected_s, this_form
        expected_s += length_s
        yield number, start_s, frame


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


def _check_length(end_s: float, limit_s: float) -> None:
    if end_s > limit_s:
        raise MediaError("decode", f"the sound lasts more than {limit_s:g} s")


def _check_scale(samples: NDArray[np.float32], codec: str) -> None:
    """Refuse what would be noise: decoders of music overshoot a little, and are clipped."""
    level = np.abs(samples)
    reason = None
    if not np.isfinite(level).all():
        reason = "are not all numbers (NaN or infinite)"
    elif codec.startswith("pcm_f") and level.max() > MAX_FLOAT_PEAK:
        reason = f"reach {level.max():.4g}, not [-1, 1]: divide them by their scale"
    elif np.mean(level > MAX_FLOAT_PEAK) > MAX_BEYOND_PEAK:
        reason = f"reach {level.max():.4g}, not [-1, 1]: it is damaged or in another scale"
    if reason:
        raise MediaError("decode", f"the sound is no sound: its samples {reason}")


def _check_whole(stream: Any, spans: Sequence[tuple[float | None, float]]) -> None:
    """Compare the sound with what an index promises; lengths without one are guessed.

    Those with one count gaps in the time stamps, which are no damage, so the number of frames
    counts as well; the first ones may be an encoder's run-in, which is not played.
    """
    ends_s = [time_s + length_s for time_s, length_s in spans if time_s is not None]
    if ends_s:
        check_end(stream, ends_s[-1])
    if not (stream.frames and stream.duration and stream.time_base):
        return
    lengths_s = [length_s for _, length_s in spans]
    promised_s = min(
        float(stream.duration * stream.time_base), (stream.frames - _RUN_IN_FRAMES) * max(lengths_s)
    )
    check_share(sum(lengths_s), promised_s, "only {:.2f} of {:.2f} s of sound decode")


class _Mixer:
    """Mixes channels block by block, and measures them; corrected by that, it mixes as it should.

    Channels for low tones only (LFE) are left out where there are others.
    """

    def __init__(self) -> None:
        # By layout, which may change midway. Products are those of the channels with each other;
        # the last row has the sums of the channels, and the number of samples.
        self._weights: dict[str, NDArray[np.float64]] = {}
        self._heard: dict[str, NDArray[np.bool_]] = {}
        self._products: dict[str, NDArray[np.float64]] = {}

    def mix(self, blocks: Iterable[av.AudioFrame]) -> Iterator[av.AudioFrame]:
        """Yield blocks of one format with their channels mixed down, without time stamps.

        Raises
        ------
        MediaError
            Step ``decode`` for more than `MAX_CHANNELS`.
        """
        to_float: av.AudioResampler | None = None
        for block in blocks:
            layout, n_channels = block.layout.name, block.layout.nb_channels
            if layout == "mono":
                yield block
                continue
            if n_channels > MAX_CHANNELS:
                reason = f"{n_channels} channels of sound: more than {MAX_CHANNELS}"
                raise MediaError("decode", reason)
            if layout not in self._weights:
                heard = np.array([c.name not in {"LFE", "LFE2"} for c in block.layout.channels])
                self._heard[layout] = heard = heard | (not heard.any())
                self._weights[layout] = heard / heard.sum()
                self._products[layout] = np.zeros((n_channels + 1, n_channels + 1))
            to_float = to_float or av.AudioResampler("fltp", block.layout, block.sample_rate)
            for planar in to_float.resample(block):
                planes: Any = planar.planes[:n_channels]  # PyAV 18 lists more where there are eight
                channels = np.array([np.frombuffer(p, np.float32, planar.samples) for p in planes])
                products = self._products[layout]
                with np.errstate(invalid="ignore"):  # infinite samples are refused in the end
                    products[:-1, :-1] += channels @ channels.T
                    products[-1, :-1] += channels @ np.ones(planar.samples, np.float32)
                products[-1, -1] += planar.samples
                mixed = np.float32(self._weights[layout]) @ channels
                mono = av.AudioFrame.from_ndarray(mixed[None], format="flt", layout="mono")
                mono.sample_rate = block.sample_rate
                yield mono

    def correct(self) -> bool:
        """Weight the channels by what was measured; return whether that changes the mix."""
        before = self._weights
        self._weights = {
            layout: _weights(products, self._heard[layout])
            for layout, products in self._products.items()
        }
        return any(not np.array_equal(before[name], self._weights[name]) for name in before)


def _weights(products: NDArray[np.float64], heard: NDArray[np.bool_]) -> NDArray[np.float64]:
    products = products / max(products[-1, -1], 1)
    mean = products[-1, :-1]
    covariance = products[:-1, :-1] - np.outer(mean, mean)
    level = np.sqrt(np.maximum(np.diag(covariance), 0))  # without a constant offset
    if not level[heard].any():
        heard = np.ones_like(heard)
    loudest = int(np.argmax(level * heard))
    has_sound = heard & (level >= SILENT_CHANNEL * level[loudest])
    opposite = (covariance[loudest] < OPPOSITE * level * level[loudest]) & (level > 0)
    weights: NDArray[np.float64] = (
        np.where(opposite, -1.0, 1.0) * has_sound / max(has_sound.sum(), 1)
    )
    return weights
