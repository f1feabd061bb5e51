"""Models of sound in transformers: wav2vec2, HuBERT, WavLM, Whisper's encoder, AST."""

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from features.encoders.pieces import SoundWindows
from features.encoders.transformers import AST, TransformersNetwork, by_length
from features.errors import MediaError

if TYPE_CHECKING:
    import torch

    from features.identity import Sampling

_AST_HZ = 100
"""Columns of its spectrogram in a second, each of 25 ms."""


class _Grid(NamedTuple):
    """How samples, hidden states ("frames"), rows and windows lie on each other.

    Frames are made of samples by convolutions, named by their kernels and strides; there are
    `frame_samples` to a frame, `row_frames` to a row, `n_rows` to a window.
    """

    rate_hz: int
    convolutions: list[tuple[int, int]]
    most_frames: float
    frame_samples: int
    window_samples: int
    row_frames: int
    n_rows: int

    def n_frames(self, n_samples: int) -> int:
        """Return how many frames a length of sound gives; 0 or less where it is too short."""
        for kernel, stride in self.convolutions:
            n_samples = (n_samples - kernel) // stride + 1
        return int(min(n_samples, self.most_frames))


class TransformersSoundEncoder(TransformersNetwork):
    """A speech model (wav2vec2, HuBERT, WavLM, Whisper's encoder) or a spectrogram model (AST).

    Sound is cut into windows side by side. A window with less sound is embedded at its own length:
    there is no padding that could count. AST alone takes one length, that it was trained with: its
    processor pads the spectrogram, and only hidden states of patches with sound are kept. Each is
    the mean over the bands of frequency.

    Attributes
    ----------
    window_s : float
        Longest stretch of sound that the model sees at once; of a model that takes less, such as
        AST about 10 s, that.
    rows : {"clip", "time"}
        One row for each clip: mean and standard deviation of the hidden states over all of its
        sound, and the mean of the logits. Or rows over time.
    hop_s : float or None
        With ``rows: time``: each row is the mean over so many seconds. None: one row for each
        hidden state, as a rule every 20 ms.
    """

    modality = "sound"
    batches: ClassVar[dict[str, Any]] = {
        "batch_size": {"cpu": 1, "cuda": 16},
        "padding": np.float32(np.nan),
    }

    kind: Literal["transformers"]
    input: Literal["sound"] = "sound"
    window_s: float = Field(default=30.0, ge=0.1, le=120)
    rows: Literal["clip", "time"] = "clip"
    hop_s: float | None = Field(default=None, ge=0.01, le=120)

    @model_validator(mode="after")
    def _hop_belongs_to_rows_over_time(self) -> "TransformersSoundEncoder":
        if self.hop_s is not None and (self.rows == "clip" or self.hop_s > self.window_s):
            raise ValueError("hop_s belongs to `rows: time`, and is no longer than window_s")
        return self

    def pieces(self, sampling: "Sampling") -> SoundWindows:  # noqa: ARG002  # the model has its own
        """Take windows of sound at the model's own rate."""
        return SoundWindows(self._grid.rate_hz, self._grid.window_samples)

    def auto_class(self) -> Any:
        """Return also a class that transformers lacks, for a head of many models of affect."""
        if self.logits and "Wav2Vec2ForSpeechClassification" in (self.config.architectures or ()):
            from features.encoders.speech_classifier import SpeechClassifier

            return SpeechClassifier
        return super().auto_class()

    def rows_of(self, model: Any, pieces: "torch.Tensor") -> "torch.Tensor":
        """Embed windows of sound (n, n_samples), NaN where there is none.

        A row holds, stretch by stretch: the number of hidden states with sound; their mean by
        layer, then their standard deviation; and the outputs of the model's head. Windows with the
        same length of sound share a pass, and no sound is padded by more than a frame: neither
        neighbours in a batch nor the length of a window count.
        """
        rows = pieces.new_zeros(len(pieces), self._grid.n_rows, 1 + self.dimension())
        for length, same in by_length(sound_lengths(pieces)):
            if (n_frames := self._grid.n_frames(length)) > 0:
                some = self._summarised(model, pieces[same, :length], n_frames)
                rows[same, : some.shape[1]] = some
        return rows.flatten(1)

    def columns(self) -> dict[str, int]:
        """Name and width of what is kept, in order."""
        columns = super().columns()
        if self.rows == "time":
            return columns
        logits = {name: columns.pop(name) for name in self.logit_names()}
        hidden = {f"{k}.{what}": width for what in ("mean", "std") for k, width in columns.items()}
        return hidden | logits

    def finish(
        self, time_s: NDArray[np.float64], rows: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Lay the windows' rows over time side by side, or make one vector of their moments."""
        grid = self._grid
        each = rows.reshape(len(rows) * grid.n_rows, 1 + self.dimension())
        n_frames, values = each[:, 0].astype(np.float64), each[:, 1:]
        heard = n_frames > 0
        if not heard.any():
            raise MediaError("encode", f"the sound is too short for {self.model}")
        frame_s = grid.frame_samples / grid.rate_hz
        begin_s = time_s[:, None] + np.arange(grid.n_rows) * grid.row_frames * frame_s
        middle_s = begin_s.ravel() + n_frames * frame_s / 2
        if self.rows == "time":
            return middle_s[heard], values[heard]
        shares = n_frames / n_frames.sum()
        n_hidden = self.dimension() - len(self.logit_names())
        mean, std, logits = np.split(values.astype(np.float64), [n_hidden // 2, n_hidden], axis=1)
        variance = shares @ (std**2 + (mean - shares @ mean) ** 2)
        vector = np.concatenate([shares @ mean, np.sqrt(variance), shares @ logits])
        return np.array([shares @ middle_s]), vector[None].astype(np.float32)

    def _summarised(self, model: Any, sound: "torch.Tensor", n_frames: int) -> "torch.Tensor":
        """Embed windows of one length to rows (n, at most n_rows, 1 + width)."""
        import torch

        heard = (~sound.isnan()).float()
        is_whisper = self.config.model_type == "whisper"
        n_samples = n_frames * self._grid.frame_samples if is_whisper else 0
        heard_as = prepare_sound(model, self.processor, sound.nan_to_num(0.0), n_samples)
        output = model(heard_as, output_hidden_states=True)
        with_sound = torch.nn.functional.adaptive_max_pool1d(heard, n_frames)
        stretches = self._stretches(with_sound[..., None])
        n_each = stretches.sum(dim=2)
        shares = stretches / n_each.clamp(min=1)[:, :, None]
        means, deviations = [], []
        for layer in self.kept_layers(self.config.num_hidden_layers):
            state = output.hidden_states[layer]
            if self.config.model_type == AST:  # two tokens of all, then bands of patches over time
                in_bands = (len(state), -1, int(self._grid.most_frames), state.shape[2])
                state = state[:, 2:].reshape(in_bands).mean(dim=1)
            state = self._stretches(state[:, :n_frames].float())
            means.append((state * shares).sum(dim=2))
            if self.rows == "clip":
                centred = state - means[-1][:, :, None]
                deviations.append((centred.square() * shares).sum(dim=2).sqrt())
        parts = [n_each, *means, *deviations]
        if self.logits:
            parts.append(output.logits.float()[:, None].expand(-1, n_each.shape[1], -1))
        return torch.cat(parts, dim=2)

    def _stretches(self, values: "torch.Tensor") -> "torch.Tensor":
        """Cut hidden states (n, n_frames, ...) to (n, n_rows, row_frames, ...), with zeros last."""
        import torch

        length = min(self._grid.row_frames, values.shape[1])
        padded = torch.nn.functional.pad(values, (0, 0, 0, -values.shape[1] % length))
        return padded.reshape(len(values), -1, length, values.shape[2])

    @cached_property
    def _grid(self) -> _Grid:
        config, rate_hz = self.config, int(self.processor.sampling_rate)
        most_frames = longest_s = math.inf
        if config.model_type == "whisper":
            convolutions = [(1, 2 * int(self.processor.hop_length))]  # one halves the spectrum
            longest_s = config.max_source_positions * convolutions[0][1] / rate_hz
        elif config.model_type == AST:
            convolutions = [(rate_hz // 40, rate_hz // _AST_HZ), (1, int(config.time_stride))]
            most_frames = (config.max_length - config.patch_size) // config.time_stride + 1
            longest_s = config.max_length / _AST_HZ
        else:
            joined = int(getattr(config, "squeeze_factor", 1))  # SEW makes one of two
            with self._loading("as one that takes a wave, such as wav2vec2, HuBERT or WavLM"):
                convolutions = [*zip(config.conv_kernel, config.conv_stride, strict=True)]
            convolutions.append((joined, joined))
        frame_samples = math.prod(stride for _, stride in convolutions)
        window_samples = round(min(self.window_s, longest_s) * rate_hz)
        n_frames = row_frames = -(-window_samples // frame_samples)
        if self.rows == "time":
            row_frames = max(round((self.hop_s or 0) * (rate_hz / frame_samples)), 1)
        rows = row_frames, -(-n_frames // row_frames)
        return _Grid(rate_hz, convolutions, most_frames, frame_samples, window_samples, *rows)


def sound_lengths(windows: "torch.Tensor") -> "torch.Tensor":
    """Return how many samples (n,) windows of sound (n, n_samples) have up to the last, not NaN."""
    import torch

    places = torch.arange(1, windows.shape[1] + 1, device=windows.device)
    return (~windows.isnan() * places).amax(dim=1)


def prepare_sound(
    model: Any, processor: Any, windows: "torch.Tensor", whisper_samples: int = 0
) -> "torch.Tensor":
    """Bring windows (n, n_samples) into the form that a model of sound takes.

    Silence is put behind them up to `whisper_samples`, for a Whisper: it takes no sound but of the
    length that its configuration says, which is set to that one.
    """
    options: dict[str, Any] = {"padding": False}
    if whisper_samples:
        encoder, n_frames = model.get_encoder(), whisper_samples // (2 * processor.hop_length)
        encoder.config.max_source_positions = encoder.embed_positions.num_embeddings = n_frames
        options = {"padding": "max_length", "max_length": whisper_samples}
        options["device"] = str(windows.device)
    sound = list(windows.cpu().numpy())
    rate_hz = processor.sampling_rate
    inputs = processor(sound, sampling_rate=rate_hz, return_tensors="pt", **options)
    dtype = next(model.parameters()).dtype
    prepared: torch.Tensor = inputs[model.main_input_name].to(windows.device, dtype)
    return prepared
