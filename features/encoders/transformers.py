"""Models of Hugging Face's transformers: where they come from, and what is kept of them.

That is the same for all; the kinds differ in how a clip becomes input, and in what a row is.
"""

import hashlib
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, NonNegativeInt, model_validator

from features.encoders.base import Encoder
from features.encoders.model_folder import (
    DESCRIPTIONS,
    PROCESSORS,
    checkpoint_files,
    model_folder,
)
from features.encoders.weights import PACKAGE, RANDOM, one_line, weights_file
from features.errors import EncoderError
from features.files import file_sha256

if TYPE_CHECKING:
    import torch

    from features.encoders.torch_model import TorchModel

AST = "audio-spectrogram-transformer"

_INPUTS = {
    "sound": ("AutoModelForAudioClassification", "AutoFeatureExtractor"),
    "pictures": ("AutoModelForImageClassification", "AutoImageProcessor"),
    "video": ("AutoModelForVideoClassification", "AutoVideoProcessor"),
    "text": ("AutoModelForSequenceClassification", "AutoTokenizer"),
}
"""Classes of transformers for an ``input``: for a model with its head, and for its processor."""

_AS_IT_LIES = {"local_files_only": True, "trust_remote_code": False}
"""For transformers: fetch nothing, run no code of a repository, and do not ask whether to."""


class TransformersNetwork(Encoder):
    """What networks of sound, of pictures, of video and of text have in common.

    Attributes
    ----------
    input : str
        What the model takes.
    model : str
        A repository of the Hugging Face hub; a folder as ``save_pretrained`` writes it; with
        random weights also a type of model, such as ``wav2vec2``.
    weights : str
        ``hub``, ``folder``, a file of an installed package (``package://<import name>/<path>``;
        Whisper, or a safetensors file with its configuration beside it), or ``random`` (seeded; for
        tests).
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

    named_by_weights = frozenset({"model", "revision", "input"})
    more_files: ClassVar[tuple[str, ...]] = ()  # of a checkpoint, whose bytes count too
    unused: ClassVar[tuple[str, ...]] = ("decoder", "mask_token", "masked_spec_embed", "pooler")
    processor_options: ClassVar[dict[str, Any]] = {}
    batches: ClassVar[dict[str, Any]] = {}  # their size and padding, where not `TorchModel`'s own

    input: str
    weights: str
    revision: str | None = None
    seed: int = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    layers: (
        Literal["last", "all", "none"] | Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)]
    ) = "last"
    logits: bool = False

    @model_validator(mode="after")
    def _keys_make_sense(self) -> "TransformersNetwork":
        if self.weights not in ("hub", "folder", RANDOM) and not self.weights.startswith(PACKAGE):
            raise ValueError(
                f"unknown weights {self.weights!r}: expected hub, folder, {RANDOM}, or "
                f"{PACKAGE}name/path"
            )
        if self.layers == "none" and not self.logits:
            raise ValueError("nothing is kept: name `layers`, or set `logits: true`")
        if isinstance(self.layers, tuple) and len(set(self.layers)) < len(self.layers):
            raise ValueError(f"a layer is named twice in {list(self.layers)}")
        return self

    @abstractmethod
    def rows_of(self, model: Any, pieces: "torch.Tensor") -> "torch.Tensor":
        """Embed a batch of pieces (n, ...), on the model's device, to rows (n, width)."""

    def load_model(self, device: "torch.device | None" = None, **more: Any) -> "TorchModel":
        """Load the model onto a device; `more` goes to `TorchModel`."""
        from features.encoders.torch_model import TorchModel

        self.columns()  # a model that has nothing of what is kept is said here
        more = {"rows_of": self.rows_of, **self.batches, **more}
        return TorchModel(self.network(), self.precision, device, **more)

    def weights_digest(self) -> str:
        """Digest of the checkpoint's files; of random weights, the seed and who draws from it."""
        if self._is_ctranslate2:
            return file_sha256(weights_file(self.weights))
        if self.weights == RANDOM:
            drawn_by = [f"{name}-{version(name)}" for name in ("torch", "transformers")]
            of = self.config.to_json_string() + self.input_description()
            return ":".join([RANDOM, str(self.seed), *drawn_by, _sha256(of)])
        assert self._folder is not None
        names = (*DESCRIPTIONS, *self.more_files)
        files = [path for name in names if (path := self._folder / name).is_file()]
        files += checkpoint_files(self._folder, self.model)
        return _sha256(" ".join(f"{path.name} {file_sha256(path)}" for path in files))

    def columns(self) -> dict[str, int]:
        """Name and width of what is kept, in order, found without the weights."""
        layers = self.kept_layers(self.config.num_hidden_layers)
        hidden = {f"layer_{layer}": int(self.config.hidden_size) for layer in layers}
        return hidden | dict.fromkeys(self.logit_names(), 1)

    def network(self) -> "torch.nn.Module":
        """Load the model, with its head where `logits` asks for it.

        Raises
        ------
        EncoderError
            When the weights cannot be had, or are not all there.
        """
        import torch
        import transformers

        auto = self.auto_class()
        missing: list[str] = []
        with self._loading(f"as {auto.__name__}"), torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            if self._folder is None or self.weights == RANDOM:
                model = auto.from_config(deepcopy(self.config))
            else:
                checkpoint_files(self._folder, self.model)
                options = {"output_loading_info": True, "ignore_mismatched_sizes": True}
                options |= _AS_IT_LIES
                model, found = auto.from_pretrained(self._folder, dtype=torch.float32, **options)
                others = (name for name, *_ in found["mismatched_keys"])
                missing = sorted({*found["missing_keys"], *others})
            if self._is_ctranslate2:
                from features.encoders.ctranslate2 import read_whisper

                _, arrays = read_whisper(weights_file(self.weights))
                state = {name: torch.from_numpy(array) for name, array in arrays.items()}
                trunk = getattr(model, model.base_model_prefix, model)
                missing = trunk.load_state_dict(state, strict=False).missing_keys
        lacking = [key for key in missing if not set(key.split(".")) & set(self.unused)]
        if lacking:
            raise EncoderError(
                f"the checkpoint of {self.model} lacks {', '.join(lacking[:5])}: expected all that "
                f"{type(model).__name__} has" + "; set `logits: false`" * self.logits
            )
        hears_or_reads = (
            getattr(self.config, "is_encoder_decoder", False) and auto is transformers.AutoModel
        )
        network: torch.nn.Module = model.get_encoder() if hears_or_reads else model
        return network.eval()

    def auto_class(self) -> Any:
        """Return the class of transformers that loads the model, with its head if that is kept."""
        import transformers

        return getattr(transformers, _INPUTS[self.input][0] if self.logits else "AutoModel")

    @cached_property
    def config(self) -> Any:
        """The model's settings, as transformers has them."""
        import transformers

        if self._is_ctranslate2:
            from features.encoders.ctranslate2 import read_whisper

            return read_whisper(weights_file(self.weights))[0]
        with self._loading("as a model that it knows by its `model_type`"):
            if self._folder is None:
                config = transformers.AutoConfig.for_model(self.model)
            else:
                config = transformers.AutoConfig.from_pretrained(self._folder, **_AS_IT_LIES)
        if getattr(config, "quantization_config", None):
            raise EncoderError(
                f"the numbers of {self.model} are quantised: take the model that it was made from"
            )
        takes = [
            key
            for key, (name, _) in _INPUTS.items()
            if type(config) in getattr(transformers, name)._model_mapping
        ]
        if takes and self.input not in takes:
            raise EncoderError(
                f"{self.model} ({config.model_type}) takes {' or '.join(takes)} and no "
                f"{self.input}: set `input: {takes[0]}`"
            )
        return config

    @cached_property
    def processor(self) -> Any:
        """What brings sound or pictures into the form that the model was trained on."""
        import transformers

        folder = self._folder
        if folder is not None and any((folder / name).is_file() for name in PROCESSORS):
            auto = getattr(transformers, _INPUTS[self.input][1])
            with self._loading("with its processor"):
                return auto.from_pretrained(folder, **_AS_IT_LIES, **self.processor_options)
        if self.weights in ("hub", "folder"):
            raise EncoderError(
                f"{self.model} has no {PROCESSORS[0]}, which says how its input is prepared: take "
                "a copy of its folder, and save into it the processor of the model it came from"
            )
        return _default_processor(self.config, self.input)

    def input_description(self) -> str:
        """Return what brings input into the model's form, as text."""
        return str(self.processor.to_json_string())

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

    @property
    def commit(self) -> str | None:
        """The commit that was fetched from the hub, which `revision` may name; else None."""
        return self._folder.name if self.weights == "hub" and self._folder else None

    @contextmanager
    def _loading(self, what: str) -> Iterator[None]:
        """Say what to do where transformers fails; keep it from reports and progress bars."""
        from transformers.utils import logging

        level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            yield
        except EncoderError:
            raise
        except Exception as error:  # whatever the library has to say
            raise EncoderError(
                f"transformers cannot load {self.model} {what}: {one_line(error)} Expected a "
                f"folder as `save_pretrained` writes it, of a model of {self.input}; take other "
                "models through their own library's kind"
            ) from error
        finally:
            logging.set_verbosity(level)
            if bars:
                logging.enable_progress_bar()

    @property
    def _is_ctranslate2(self) -> bool:
        return self.weights.startswith(PACKAGE) and not self.weights.endswith(".safetensors")

    @cached_property
    def _folder(self) -> Path | None:
        """Where the model lies on this machine; None where its description is made, not read."""
        if self._is_ctranslate2:
            return None
        return model_folder(self.model, self.weights, self.revision, self.more_files)


def by_length(lengths: "torch.Tensor") -> "Iterator[tuple[int, torch.Tensor]]":
    """Yield each length above 0 of a batch's pieces, and which of them (n,) have it."""
    for length in sorted({*lengths.tolist()} - {0}):
        yield length, lengths == length


def _default_processor(config: Any, given: str) -> Any:
    """Return the processor of a model that has none of its own: random, or of a package."""
    import transformers

    if config.model_type == "whisper":
        return transformers.WhisperFeatureExtractor(feature_size=config.num_mel_bins)
    if config.model_type == AST:
        size = {name: getattr(config, name) for name in ("num_mel_bins", "max_length")}
        return transformers.ASTFeatureExtractor(**size)
    if given == "sound":
        return transformers.Wav2Vec2FeatureExtractor(return_attention_mask=False)
    sizes = (getattr(config, name, None) for name in ("image_size", "crop_size"))
    side_px = next(filter(None, sizes), 224)
    return transformers.ViTImageProcessorPil(size={"height": side_px, "width": side_px})


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
