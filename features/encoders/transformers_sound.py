"""Models of sound in transformers: wav2vec2, HuBERT, WavLM, Whisper's encoder, AST."""

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from features.encoders.pieces import SoundWindows
from features.encoders.transformers import TransformersNetwork
from features.errors import EncoderError, MediaError

if TYPE_CHECKING:
    import torch

    from features.encoders.torch_model import TorchModel
    from features.identity import Sampling

AST = "audio-spectrogram-transformer"
AST_HZ = 100
"""Columns of its spectrogram in a second."""

_WINDOWS = {"cpu": 1, "cuda": 16}
"""Windows of sound in a batch."""


class TransformersSoundEncoder(TransformersNetwork):
    """A speech model (wav2vec2, HuBERT, WavLM, Whisper's encoder) or a spectrogram model (AST).

    Sound is cut into windows side by side. A window with less sound is embedded at its own length:
    there is no padding that could count. AST alone takes one length, that it was trained with: its
    processor pads the spectrogram, and only hidden states of patches with sound are kept. Each is
    the mean over the bands of frequency.

    Attributes
    ----------
    window_s : float
        Longest stretch of sound that the model sees at once. Where it takes less than the default,
        such as AST about 10 s, that.
    rows : {"clip", "time"}
        One row for each clip: mean and standard deviation of the hidden states over all of its
        sound, and the mean of the logits. Or rows over time.
    hop_s : float or None
        With ``rows: time``: each row is the mean over so many seconds. None: one row for each
        hidden state, as a rule every 20 ms.
    """

    modality = "sound"

    kind: Literal["transformers"]
    input: Literal["sound"] = "sound"
    window_s: float = Field(default=30.0, ge=0.1, le=120)
    rows: Literal["clip", "time"] = "clip"
    hop_s: float | None = Field(default=None, ge=0.01, le=120)

    @model_validator(mode="after")
    def _hop_belongs_to_rows_over_time(self) -> "TransformersSoundEncoder":
        if self.hop_s is not None and self.rows == "clip":
            raise ValueError("hop_s belongs to `rows: time`")
        if self.hop_s is not None and self.hop_s > self.window_s:
            raise ValueError(f"hop_s is longer than a window of {self.window_s:g} s")
        return self

    def default_processor(self) -> Any:
        """Return the one of the model's type as it is by default."""
        import transformers

        if self.config.model_type == "whisper":
            return transformers.WhisperFeatureExtractor(feature_size=self.config.num_mel_bins)
        if self.config.model_type == AST:
            size = {name: getattr(self.config, name) for name in ("num_mel_bins", "max_length")}
            return transformers.ASTFeatureExtractor(**size)
        return transformers.Wav2Vec2FeatureExtractor(return_attention_mask=False)

    def pieces(self, sampling: "Sampling") -> SoundWindows:  # noqa: ARG002  # the model has its own
        """Take windows of sound at the model's own rate."""
        return SoundWindows(int(self.processor.sampling_rate), self._window_samples)

    def auto_class(self) -> Any:
        """Return also a class that transformers lacks, for a head of many models of affect."""
        if self.logits and "Wav2Vec2ForSpeechClassification" in (self.config.architectures or ()):
            from features.encoders.transformers_networks import SpeechClassifier

            return SpeechClassifier
        return super().auto_class()

    def load_model(self, device: "torch.device | None" = None) -> "TorchModel":
        """Load the model onto a device."""
        from features.encoders.torch_model import TorchModel
        from features.encoders.transformers_networks import SoundNetwork

        network = SoundNetwork(
            self.network(),
            self.processor,
            layers=self.kept_layers(self.config.num_hidden_layers),
            logits=self.logits,
            width=self.dimension(),
            frame_samples=self._frame_samples,
            row_frames=self._row_frames,
            n_rows=self._n_rows,
            deviations=self.rows == "clip",
        )
        return TorchModel(
            network, self.precision, device, batch_size=_WINDOWS, padding=np.float32(np.nan)
        )

    def columns(self) -> dict[str, int]:
        """Name and width of what is kept, in order."""
        columns = super().columns()
        if self.rows == "time":
            return columns
        logits = {name: columns.pop(name) for name in self.logit_names()}
        hidden = {f"{k}.{what}": width for what in ("mean", "std") for k, width in columns.items()}
        return hidden | logits

    def is_clip_level(self) -> bool:
        """Whether a clip is one row."""
        return self.rows == "clip"

    def finish(
        self, time_s: NDArray[np.float64], rows: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Lay the windows' rows over time side by side, or make one vector of their moments."""
        each = rows.reshape(len(rows) * self._n_rows, 1 + self.dimension())
        n_frames, values = each[:, 0].astype(np.float64), each[:, 1:]
        heard = n_frames > 0
        if not heard.any():
            raise MediaError("encode", f"the sound is too short for {self.model}")
        frame_s = self._frame_samples / self.processor.sampling_rate
        begin_s = time_s[:, None] + np.arange(self._n_rows) * self._row_frames * frame_s
        middle_s = begin_s.ravel() + n_frames * frame_s / 2
        if self.rows == "time":
            return middle_s[heard], values[heard]
        shares = n_frames / n_frames.sum()
        n_hidden = self.dimension() - len(self.logit_names())
        mean, std, logits = np.split(values.astype(np.float64), [n_hidden // 2, n_hidden], axis=1)
        variance = shares @ (std**2 + (mean - shares @ mean) ** 2)
        vector = np.concatenate([shares @ mean, np.sqrt(variance), shares @ logits])
        return np.array([shares @ middle_s]), vector[None].astype(np.float32)

    @cached_property
    def _frame_samples(self) -> int:
        """Samples of sound to a hidden state."""
        if self.config.model_type == "whisper":
            return 2 * int(self.processor.hop_length)  # a convolution halves the spectrum
        if self.config.model_type == AST:
            return int(self.config.time_stride * self.processor.sampling_rate) // AST_HZ
        strides = getattr(self.config, "conv_stride", None)
        if not strides:
            raise EncoderError(
                f"{self.model} ({self.config.model_type}) is no speech model that takes a wave: "
                "expected wav2vec2, HuBERT, WavLM or the like, or Whisper"
            )
        return int(math.prod(strides))

    @property
    def _row_frames(self) -> int:
        if self.rows == "clip":
            return self._frames_per_window
        frames_hz = int(self.processor.sampling_rate) / self._frame_samples
        return max(round((self.hop_s or 0) * frames_hz), 1)

    @cached_property
    def _window_samples(self) -> int:
        """Samples of sound in a window."""
        rate_hz = int(self.processor.sampling_rate)
        longest_s = math.inf
        if self.config.model_type == "whisper":
            longest_s = self.config.max_source_positions * self._frame_samples / rate_hz
        elif self.config.model_type == AST:
            longest_s = self.config.max_length / AST_HZ
        if self.window_s > longest_s and "window_s" in self.model_fields_set:
            raise EncoderError(
                f"`window_s: {self.window_s:g}`: {self.model} takes {longest_s:g} s at most"
            )
        return round(min(self.window_s, longest_s) * rate_hz)

    @property
    def _frames_per_window(self) -> int:
        return -(-self._window_samples // self._frame_samples)

    @property
    def _n_rows(self) -> int:
        return math.ceil(self._frames_per_window / self._row_frames)
