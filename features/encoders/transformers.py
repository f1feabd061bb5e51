"""Networks of Hugging Face's transformers: of sound (speech models) and of pictures.

Where they come from and what is kept of them is the same for both; how a clip becomes their input,
and what a row is, differs. The library is imported when a network is described or loaded.
"""

import hashlib
import math
from collections.abc import Iterator
from abc import abstractmethod
from contextlib import contextmanager
from copy import deepcopy
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, model_validator

from features.encoders.base import Encoder, FrameEncoder
from features.encoders.pieces import Geometry, Preprocessing, SoundWindows
from features.encoders.weights import PACKAGE, RANDOM, hub_folder, one_line, weights_file
from features.errors import EncoderError, MediaError
from features.files import file_sha256

if TYPE_CHECKING:
    import torch

    from features.encoders.base import Model
    from features.identity import Sampling

_CHECKPOINTS = ("model*.safetensors", "pytorch_model*.bin")
_PROCESSOR = "preprocessor_config.json"
_DESCRIPTIONS = ("config.json", _PROCESSOR)
_UNUSED = ("decoder", "mask_token", "masked_spec_embed", "pooler")
_INTERPOLATIONS: dict[int, Literal["nearest", "bilinear", "bicubic"]] = {
    0: "nearest",
    2: "bilinear",
    3: "bicubic",
}


_WINDOWS = {"cpu": 1, "cuda": 16}
"""Windows of sound in a batch."""


class AutoClasses(NamedTuple):
    """Names of the classes of transformers that load a model by its configuration."""

    trunk: str
    with_head: str
    processor: str


class TransformersNetwork(Encoder):
    """What networks of sound and of pictures have in common.

    Attributes
    ----------
    model : str
        A repository of the Hugging Face hub; a folder as ``save_pretrained`` writes it; with
        random weights also a type of model, such as ``wav2vec2``.
    weights : str
        ``hub``, ``folder``, Whisper in a file of an installed package
        (``package://<import name>/<path>``), or ``random`` (seeded; for tests).
    revision : str or None
        Branch, tag or commit on the hub; None: its main branch.
    seed : int
        Of random weights; without meaning otherwise.
    precision : {"fp32", "bf16"}
        Arithmetic of the forward pass, on every device.
    layers : "last", "all", "none", or list of int
        Which hidden states are kept, one beside the other: 1 is what the first layer gives, 0 what
        goes into it.
    logits : bool
        Whether the outputs of the model's own head are kept too, as columns with their names.
    """

    named_by_weights = frozenset({"model", "revision"})
    auto_classes: ClassVar[AutoClasses]

    weights: str
    revision: str | None = None
    seed: int = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    layers: (
        Literal["last", "all", "none"] | Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)]
    ) = "last"
    logits: bool = False

    @model_validator(mode="after")
    def _something_is_kept(self) -> "TransformersNetwork":
        if self.layers == "none" and not self.logits:
            raise ValueError("nothing is kept: name `layers`, or set `logits: true`")
        if isinstance(self.layers, tuple) and len(set(self.layers)) < len(self.layers):
            raise ValueError(f"a layer is named twice in {list(self.layers)}")
        return self

    def weights_digest(self) -> str:
        """Digest of the checkpoint's files; of random weights, the seed and who draws from it."""
        if self.weights.startswith(PACKAGE):
            return file_sha256(weights_file(self.weights))
        if self.weights == RANDOM:
            drawn_by = [f"{name}-{version(name)}" for name in ("torch", "transformers")]
            of = self.config.to_json_string() + self.processor.to_json_string()
            return ":".join([RANDOM, str(self.seed), *drawn_by, _sha256(of)])
        assert self._folder is not None
        files = [path for name in _DESCRIPTIONS if (path := self._folder / name).is_file()]
        files += _checkpoint_files(self._folder)
        return _sha256(" ".join(f"{path.name} {file_sha256(path)}" for path in files))

    def dimension(self) -> int:
        """Width of an embedding, found without the weights."""
        return sum(self.columns().values())

    def network(self) -> "torch.nn.Module":
        """Load the model, with its head where `logits` asks for it.

        Raises
        ------
        EncoderError
            When the weights cannot be had, or are not all there.
        """
        import torch
        import transformers

        name = self.auto_classes.with_head if self.logits else self.auto_classes.trunk
        auto = getattr(transformers, name)
        missing: list[str] = []
        try:
            with torch.random.fork_rng(devices=[]), _quiet():
                torch.manual_seed(self.seed)
                if self._folder is not None and self.weights != RANDOM:
                    model, found = auto.from_pretrained(
                        self._folder,
                        dtype=torch.float32,
                        local_files_only=True,
                        output_loading_info=True,
                    )
                    missing = sorted(found["missing_keys"])
                else:
                    model = auto.from_config(deepcopy(self.config))
                if self.weights.startswith(PACKAGE):
                    from features.encoders.ctranslate2 import read_whisper

                    _, arrays = read_whisper(weights_file(self.weights))
                    state = {name: torch.from_numpy(array) for name, array in arrays.items()}
                    missing = model.load_state_dict(state, strict=False).missing_keys
        except EncoderError:
            raise
        except Exception as error:  # whatever the library has to say
            raise EncoderError(
                f"transformers cannot load {self.model} ({one_line(error)}) as {name}: choose "
                "another `model:`, or a `kind:` that takes it"
            ) from error
        lacking = [key for key in missing if not set(key.split(".")) & set(_UNUSED)]
        if lacking:
            raise EncoderError(
                f"the checkpoint of {self.model} lacks {', '.join(lacking[:5])}: expected all that "
                f"{type(model).__name__} has" + "; set `logits: false`" * self.logits
            )
        network: torch.nn.Module = model.eval()
        return network

    @cached_property
    def config(self) -> Any:
        """The model's settings, as transformers has them."""
        import transformers

        if self.weights.startswith(PACKAGE):
            from features.encoders.ctranslate2 import read_whisper

            return read_whisper(weights_file(self.weights))[0]
        try:
            if self._folder is None:
                return transformers.AutoConfig.for_model(self.model)
            return transformers.AutoConfig.from_pretrained(self._folder, local_files_only=True)
        except Exception as error:
            raise EncoderError(
                f"transformers cannot read what model {self.model} is: {one_line(error)}"
            ) from error

    @cached_property
    def processor(self) -> Any:
        """What brings sound or pictures into the form that the model was trained on."""
        import transformers

        if self._folder is not None and (self._folder / _PROCESSOR).is_file():
            auto = getattr(transformers, self.auto_classes.processor)
            return auto.from_pretrained(self._folder, local_files_only=True)
        if self.weights in ("hub", "folder"):
            raise EncoderError(
                f"{self.model} has no {_PROCESSOR}, which says how its input is prepared: take a "
                "copy of its folder, and save into it the processor of the model it came from"
            )
        return self.default_processor()

    @abstractmethod
    def default_processor(self) -> Any:
        """Return the processor of a model that has none of its own: random, or of a package."""

    def kept_layers(self, n_layers: int) -> tuple[int, ...]:
        """Return the numbers of the hidden states that are kept.

        Raises
        ------
        EncoderError
            When the model has no such layer.
        """
        if isinstance(self.layers, tuple):
            if max(self.layers) > n_layers:
                raise EncoderError(
                    f"`layers: {list(self.layers)}`: {self.model} has the layers 1 to {n_layers}"
                )
            return self.layers
        return {"last": (n_layers,), "all": tuple(range(1, n_layers + 1)), "none": ()}[self.layers]

    def logit_names(self) -> list[str]:
        """Return the names of the outputs of the model's head, if they are kept."""
        return [str(name) for name in self.config.id2label.values()] if self.logits else []

    @cached_property
    def _folder(self) -> Path | None:
        """Where the model lies on this machine; None where its description is made, not read."""
        if self.weights == "hub":
            return hub_folder(self.model, self.revision, (*_DESCRIPTIONS, *_CHECKPOINTS))
        folder = Path(self.model).expanduser()
        if (folder / "config.json").is_file():
            return folder
        if self.weights == "folder":
            raise EncoderError(
                f"there is no {folder / 'config.json'}: expected `model:` to be a folder as "
                "`save_pretrained` writes it, or `weights: hub`"
            )
        if self.weights == RANDOM or self.weights.startswith(PACKAGE):
            return None
        raise EncoderError(
            f"unknown weights {self.weights!r}: expected hub, folder, {RANDOM}, or "
            f"{PACKAGE}name/path"
        )


class TransformersEncoder(TransformersNetwork):
    """A speech model: wav2vec2, HuBERT, WavLM and their kin, or Whisper's encoder.

    Sound is cut into windows side by side. A window with less sound is embedded at its own length:
    there is no padding that could count.

    Attributes
    ----------
    window_s : float
        Longest stretch of sound that the model sees at once; Whisper takes 30 s at most.
    rows : {"clip", "time"}
        One row for each clip: mean and standard deviation of the hidden states over all of its
        sound, and the mean of the logits. Or rows over time.
    hop_s : float or None
        With ``rows: time``: each row is the mean over so many seconds. None: one row for each
        hidden state, as a rule every 20 ms.
    """

    modality = "sound"
    auto_classes = AutoClasses(
        "AutoModel", "AutoModelForAudioClassification", "AutoFeatureExtractor"
    )

    kind: Literal["transformers"]
    window_s: float = Field(default=30.0, ge=0.1, le=120)
    rows: Literal["clip", "time"] = "clip"
    hop_s: float | None = Field(default=None, ge=0.01, le=120)

    @model_validator(mode="after")
    def _hop_belongs_to_rows_over_time(self) -> "TransformersEncoder":
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
        return transformers.Wav2Vec2FeatureExtractor(return_attention_mask=False)

    def pieces(self, sampling: "Sampling") -> SoundWindows:  # noqa: ARG002  # the model has its own
        """Take windows of sound at the model's own rate."""
        rate_hz = int(self.processor.sampling_rate)
        return SoundWindows(rate_hz, round(self.window_s * rate_hz))

    def load_model(self, device: "torch.device | None" = None) -> "Model":
        """Load the model onto a device."""
        from features.encoders.torch_model import TorchModel
        from features.encoders.transformers_networks import SoundNetwork

        network = SoundNetwork(
            self.network(),
            self.processor,
            layers=self.kept_layers(self.config.num_hidden_layers),
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
        names = [f"layer_{layer}" for layer in self.kept_layers(self.config.num_hidden_layers)]
        if self.rows == "clip":
            names = [f"{name}.{what}" for what in ("mean", "std") for name in names]
        hidden = dict.fromkeys(names, int(self.config.hidden_size))
        return {**hidden, **dict.fromkeys(self.logit_names(), 1)}

    def is_clip_level(self) -> bool:
        """Whether a clip is one row."""
        return self.rows == "clip"

    def finish(
        self, time_s: NDArray[np.float64], rows: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Lay the windows' rows over time side by side, or make one vector of their moments."""
        each = rows.reshape(len(rows) * self._n_rows, -1)
        step_s = self._row_frames * self._frame_samples / self.processor.sampling_rate
        offsets_s = (np.arange(self._n_rows) + 0.5) * step_s
        times_s = (time_s[:, None] + offsets_s).ravel()
        n_frames, values = each[:, 0], each[:, 1:]
        heard = n_frames > 0
        if not heard.any():
            raise MediaError("encode", f"the sound is too short for {self.model}")
        times_s, n_frames, values = times_s[heard], n_frames[heard], values[heard]
        if self.rows == "time":
            return times_s, values
        return np.array([times_s.mean()]), self._joined(n_frames, values)[None]

    def _joined(
        self, n_frames: NDArray[np.float32], values: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Join the moments of windows to those of all of their frames."""
        shares = (n_frames / n_frames.sum(dtype=np.float64))[:, None]
        width = (self.dimension() - len(self.logit_names())) // 2
        mean, std, logits = np.split(values.astype(np.float64), [width, 2 * width], axis=1)
        joined = (shares * mean).sum(axis=0)
        variance = (shares * (std**2 + (mean - joined) ** 2)).sum(axis=0)
        parts = [joined, np.sqrt(variance), (shares * logits).sum(axis=0)]
        return np.concatenate(parts).astype(np.float32)

    @cached_property
    def _frame_samples(self) -> int:
        """Samples of sound to a hidden state."""
        if self.config.model_type == "whisper":
            longest_s = 2 * self.config.max_source_positions * self.processor.hop_length / (
                self.processor.sampling_rate
            )
            if self.window_s > longest_s:
                raise EncoderError(
                    f"`window_s: {self.window_s:g}`: {self.model} takes {longest_s:g} s at most"
                )
            return 2 * int(self.processor.hop_length)
        strides = getattr(self.config, "conv_stride", None)
        if not strides:
            raise EncoderError(
                f"{self.model} ({self.config.model_type}) is no speech model that takes a wave: "
                "expected wav2vec2, HuBERT, WavLM or the like, or Whisper; for pictures set "
                "`kind: transformers_image`"
            )
        return math.prod(strides)

    @property
    def _row_frames(self) -> int:
        if self.rows == "clip":
            return self._frames_per_window
        frames_hz = self.processor.sampling_rate / self._frame_samples
        return max(round((self.hop_s or 0) * frames_hz), 1)

    @property
    def _frames_per_window(self) -> int:
        return math.ceil(
            round(self.window_s * self.processor.sampling_rate) / self._frame_samples
        )

    @property
    def _n_rows(self) -> int:
        return math.ceil(self._frames_per_window / self._row_frames)


def _checkpoint_files(folder: Path) -> list[Path]:
    """Return the files that transformers loads: safetensors where there are some."""
    for pattern in _CHECKPOINTS:
        if files := sorted(folder.glob(pattern)):
            return files
    raise EncoderError(f"{folder} holds no weights: expected {' or '.join(_CHECKPOINTS)}")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from reports and progress bars: what matters of them is checked here."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
