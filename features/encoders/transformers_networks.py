"""What is kept of a model of transformers, as a network from pieces to rows."""

from collections.abc import Callable
from typing import Any

import torch
from transformers import Wav2Vec2Model, Wav2Vec2PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from features.encoders.transformers_sound import AST, AST_HZ

Tensor = torch.Tensor


class SoundNetwork(torch.nn.Module):
    """Hidden states of a speech model, summarised over stretches of each window's own sound.

    Windows with the same length of sound share a pass, and no sound is padded by more than a frame:
    neither neighbours in a batch nor the length of a window count.

    Parameters
    ----------
    model : torch.nn.Module
        Of transformers; it takes waves, or is a Whisper.
    processor : object
        Its feature extractor.
    layers : tuple of int
        The hidden states that are kept.
    logits : bool
        Whether the outputs of its head are kept.
    width : int
        Numbers that are kept of a stretch.
    frame_samples : int
        Samples of sound to a hidden state.
    row_frames : int
        Hidden states to a stretch.
    n_rows : int
        Stretches in a window.
    deviations : bool
        Whether standard deviations are given beside the means.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        layers: tuple[int, ...],
        logits: bool,
        width: int,
        frame_samples: int,
        row_frames: int,
        n_rows: int,
        deviations: bool,
    ) -> None:
        super().__init__()
        self._is_whisper = model.config.model_type == "whisper"
        self.model = model.get_encoder() if self._is_whisper and not logits else model
        self._processor = processor
        self._layers, self._logits, self._width = layers, logits, width
        self._frame_samples, self._row_frames, self._n_rows = frame_samples, row_frames, n_rows
        self._deviations = deviations
        self._n_patches = 0  # of a spectrogram, side by side in time
        if (config := model.config).model_type == AST:
            self._n_patches = int(config.max_length - config.patch_size) // config.time_stride + 1

    def forward(self, windows: Tensor) -> Tensor:
        """Embed windows of sound, NaN where there is none.

        Parameters
        ----------
        windows : Tensor of float32, shape (n, n_samples)

        Returns
        -------
        Tensor of float32, shape (n, n_rows * (1 + width))
            Stretch by stretch: the number of hidden states with sound; their mean by layer, then
            their standard deviation; and the outputs of the model's head.
        """
        heard = ~windows.isnan()
        places = torch.arange(1, windows.shape[1] + 1, device=windows.device)
        lengths = (heard * places).amax(dim=1)
        rows = windows.new_zeros(len(windows), self._n_rows, 1 + self._width)
        for length in sorted(set(lengths.tolist())):
            if self._n_frames(length) > 0:
                same = lengths == length
                some = self._embed(windows[same, :length].nan_to_num(0.0), heard[same, :length])
                rows[same, : some.shape[1]] = some
        return rows.flatten(1)

    def _embed(self, windows: Tensor, heard: Tensor) -> Tensor:
        """Embed windows of one length to rows (n, at most n_rows, 1 + width)."""
        n_frames = self._n_frames(windows.shape[1])
        n_samples = n_frames * self._frame_samples if self._is_whisper else 0
        heard_as = prepare_sound(self.model, self._processor, windows, n_samples)
        output = self.model(heard_as, output_hidden_states=True)
        states = [self._over_time(output.hidden_states[layer], n_frames) for layer in self._layers]
        with_sound = torch.nn.functional.adaptive_max_pool1d(heard.float(), n_frames)
        n_each = self._stretches(with_sound[..., None]).sum(dim=2)
        shares = self._stretches(with_sound[..., None]) / n_each.clamp(min=1)[:, :, None]
        means, deviations = [], []
        for state in map(self._stretches, states):
            means.append((state * shares).sum(dim=2))
            if self._deviations:
                centred = state - means[-1][:, :, None]
                deviations.append((centred.square() * shares).sum(dim=2).sqrt())
        parts = [n_each, *means, *deviations]
        if self._logits:
            parts.append(output.logits.float()[:, None].expand(-1, n_each.shape[1], -1))
        return torch.cat(parts, dim=2)

    def _over_time(self, state: Tensor, n_frames: int) -> Tensor:
        """Return what a hidden state has of the sound, of shape (n, n_frames, width)."""
        if self.model.config.model_type == AST:
            in_bands = (len(state), -1, self._n_patches, state.shape[2])
            state = state[:, 2:].reshape(in_bands).mean(dim=1)
        return state[:, :n_frames].float()

    def _n_frames(self, n_samples: int) -> int:
        """Return how many hidden states a length of sound gives."""
        config = self.model.config
        if self._is_whisper:
            return -(-n_samples // self._frame_samples)
        if config.model_type == AST:
            rate_hz = int(self._processor.sampling_rate)
            n_columns = 1 + (n_samples - rate_hz // 40) // (rate_hz // AST_HZ)  # of 25 ms
            return min(-(-n_columns // int(config.time_stride)), self._n_patches)
        for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
            n_samples = (n_samples - kernel) // stride + 1
        return n_samples

    def _stretches(self, values: Tensor) -> Tensor:
        """Cut hidden states (n, n_frames, ...) to (n, n_rows, row_frames, ...), with zeros last."""
        length = min(self._row_frames, values.shape[1])
        missing = -values.shape[1] % length
        padded = torch.nn.functional.pad(values, (0, 0, 0, missing))
        return padded.reshape(len(values), -1, length, values.shape[2])


def prepare_sound(model: Any, processor: Any, windows: Tensor, whisper_samples: int = 0) -> Tensor:
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
    prepared: Tensor = inputs[model.main_input_name].to(windows.device, dtype)
    return prepared


class SpeechClassifier(Wav2Vec2PreTrainedModel):  # type: ignore[misc]  # untyped in transformers
    """A wav2vec2 with a head that checkpoints call ``Wav2Vec2ForSpeechClassification``.

    Models of affect have it, such as audEERING's of arousal, dominance and valence: the mean of the
    last hidden state, a layer with tanh, and one output for each label.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        width = config.hidden_size
        self.wav2vec2 = Wav2Vec2Model(config)
        self.classifier = torch.nn.ModuleDict(
            {
                "dense": torch.nn.Linear(width, width),
                "out_proj": torch.nn.Linear(width, config.num_labels),
            }
        )
        self.post_init()

    from_config = classmethod(lambda cls, config: cls(config))

    def forward(self, input_values: Tensor, **options: Any) -> Any:
        """Return hidden states, and logits (n, n_labels), of waves (n, n_samples)."""
        output = self.wav2vec2(input_values, **options)
        hidden = self.classifier["dense"](output.last_hidden_state.mean(dim=1)).tanh()
        logits = self.classifier["out_proj"](hidden)
        return SequenceClassifierOutput(logits=logits, hidden_states=output.hidden_states)


class PictureNetwork(torch.nn.Module):
    """Hidden states of a model of pictures, or of stacks of them, one vector each.

    Parameters
    ----------
    model : torch.nn.Module
        Of transformers.
    kept_layers : callable
        From the number of layers to those that are kept.
    first_token : bool
        Whether a hidden state is its first token, or the mean of all.
    logits : bool
        Whether the outputs of its head are kept.
    """

    def __init__(
        self,
        model: Any,
        kept_layers: Callable[[int], tuple[int, ...]],
        *,
        first_token: bool,
        logits: bool,
    ) -> None:
        super().__init__()
        self.model = model
        self._options = {"output_hidden_states": True}
        if model.config.model_type == "vjepa2" and not logits:
            self._options["skip_predictor"] = True
        self._kept_layers, self._first_token, self._logits = kept_layers, first_token, logits

    def forward(self, pictures: Tensor) -> Tensor:
        """Embed normalised pictures (n, [frames,] 3, height, width) to (n, width)."""
        return torch.cat(list(self.outputs(pictures).values()), dim=1)

    def outputs(self, pictures: Tensor) -> dict[str, Tensor]:
        """Return the hidden states that are kept by the names of their layers, and ``logits``."""
        output = self.model(**{self.model.main_input_name: pictures}, **self._options)
        states = output.hidden_states
        kept = self._kept_layers(len(states) - 1)
        hidden = {f"layer_{layer}": self._vector(states[layer]) for layer in kept}
        return hidden | ({"logits": output.logits} if self._logits else {})

    def _vector(self, state: Tensor) -> Tensor:
        if state.ndim == 4:  # (n, channels, height, width)
            return state.mean(dim=(2, 3))
        return state[:, 0] if self._first_token else state.mean(dim=1)
