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
from features.encoders.weights import (
    PACKAGE,
    RANDOM,
    hub_folder,
    one_line,
    refuse_stand_in,
    weights_file,
)
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

_PROCESSORS, _ADAPTER = "*processor_config.json", "adapter_config.json"
_DESCRIPTIONS = ("config.json", _PROCESSORS, _ADAPTER)
"""Files that say what a model is, beside its weights."""

_CHECKPOINTS = (
    ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json"),
    ("pytorch_model.bin", "pytorch_model-*-of-*.bin", "pytorch_model.bin.index.json"),
)
"""What transformers loads, in the order of its choice: whole, or in parts with their index."""

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
    batches: ClassVar[dict[str, Any]] = {}  # their size and padding, where not `TorchModel`'s own

    input: str
    weights: str = Field(pattern=rf"^(hub|folder|{RANDOM}|{PACKAGE}.+)$")
    revision: str | None = None
    seed: int = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    layers: (
        Literal["last", "all", "none"] | Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)]
    ) = "last"
    logits: bool = False

    @model_validator(mode="after")
    def _something_is_kept_once(self) -> "TransformersNetwork":
        if self.layers == "none" and not self.logits:
            raise ValueError("nothing is kept: name `layers`, or set `logits: true`")
        if isinstance(self.layers, tuple) and len(set(self.layers)) < len(self.layers):
            raise ValueError(f"a layer is named twice in {list(self.layers)}")
        return self

    @abstractmethod
    def rows_of(self, model: Any, pieces: "torch.Tensor") -> "torch.Tensor":
        """Embed a batch of pieces (n, ...), on the model's device, to rows (n, width)."""

    def load_model(self, device: "torch.device | None" = None, **more: Any) -> "TorchModel":
        """Load what is run of the model onto a device; `more` goes to `TorchModel`."""
        from features.encoders.torch_model import TorchModel

        self.columns()  # a model that has nothing of what is kept is said here
        more = {"rows_of": self.rows_of, **self.batches, **more}
        return TorchModel(self.part(self._whole()), self.precision, device, **more)

    def weights_digest(self) -> str:
        """Digest of the checkpoint's files; of random weights, the seed and who draws from it."""
        if self._ctranslate2:
            return file_sha256(self._ctranslate2)
        if self.weights == RANDOM:
            drawn_by = [f"{name}-{version(name)}" for name in ("torch", "transformers")]
            of = self.config.to_json_string() + self.input_description()
            digest = hashlib.sha256(of.encode()).hexdigest()
            return ":".join([RANDOM, str(self.seed), *drawn_by, digest])
        if not (weights := self._files(*_CHECKPOINTS[0]) or self._files(*_CHECKPOINTS[1])):
            raise EncoderError(
                f"{self.model} has no weights: expected a folder as `save_pretrained` writes it; "
                "what was being fetched is made whole by running again with a network"
            )
        for path in weights:
            refuse_stand_in(path)
        files = self._files(*_DESCRIPTIONS, *self.more_files) + weights
        of = " ".join(f"{path.name} {file_sha256(path)}" for path in files)
        return hashlib.sha256(of.encode()).hexdigest()

    def columns(self) -> dict[str, int]:
        """Name and width of what is kept, in order, found without the weights."""
        layers = self.kept_layers(self.config.num_hidden_layers)
        hidden = {f"layer_{layer}": int(self.config.hidden_size) for layer in layers}
        return hidden | dict.fromkeys(self.logit_names(), 1)

    def _whole(self) -> Any:
        """Load the model; all of the weights that it runs have to be there."""
        import torch

        auto = self.auto_class()
        missing: list[str] = []
        with self._loading(f"as {auto.__name__}"), torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            if self._ctranslate2 or self.weights == RANDOM:
                model = auto.from_config(deepcopy(self.config))
            else:
                options = {"output_loading_info": True, "ignore_mismatched_sizes": True}
                options |= _AS_IT_LIES
                model, found = auto.from_pretrained(self.folder, dtype=torch.float32, **options)
                others = (name for name, *_ in found["mismatched_keys"])
                missing = sorted({*found["missing_keys"], *others})
            if self._ctranslate2:
                from features.encoders.ctranslate2 import read_whisper

                _, state = read_whisper(self._ctranslate2)
                trunk = getattr(model, model.base_model_prefix, model)
                missing = trunk.load_state_dict(state, strict=False).missing_keys
        lacking = [key for key in missing if not set(key.split(".")) & set(self.unused)]
        if lacking:
            raise EncoderError(
                f"the checkpoint of {self.model} lacks {', '.join(lacking[:5])}: expected all that "
                f"{type(model).__name__} has" + "; set `logits: false`" * self.logits
            )
        return model

    def auto_class(self) -> Any:
        """Return the class of transformers that loads the model, with its head if that is kept."""
        import transformers

        return getattr(transformers, _INPUTS[self.input][0] if self.logits else "AutoModel")

    def part(self, model: Any) -> Any:
        """Return what is run: the tower that sees, or the half that hears or reads, if no head."""
        import transformers

        if self.auto_class() is not transformers.AutoModel:
            return model
        if self.modality == "vision":
            return model.get_encoder(modality="image")
        return model.get_encoder() if getattr(self.config, "is_encoder_decoder", False) else model

    @cached_property
    def config(self) -> Any:
        """The model's settings, as transformers has them."""
        import transformers

        with self._loading("as a model that it knows by its `model_type`"):
            if self._ctranslate2:
                from features.encoders.ctranslate2 import read_whisper

                return read_whisper(self._ctranslate2)[0]
            if self.weights == RANDOM and not (self.folder / "config.json").is_file():
                config = transformers.AutoConfig.for_model(self.model)
            else:
                config = transformers.AutoConfig.from_pretrained(self.folder, **_AS_IT_LIES)
        if getattr(config, "quantization_config", None):  # of a kind that is not known: left out
            raise EncoderError(f"{self.model} is quantised: take the model that it was made from")
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

        if self.weights not in ("hub", "folder") and not self._files(_PROCESSORS):
            return _default_processor(self.config, self.input)
        options = _AS_IT_LIES | ({"backend": "pil"} if self.input == "pictures" else {})
        auto = getattr(transformers, _INPUTS[self.input][1])
        with self._loading("with its processor"):
            return auto.from_pretrained(self.folder, **options)

    def input_description(self) -> str:
        """Return what brings input into the model's form, as text."""
        return str(self.processor.to_json_string())

    def is_clip_level(self) -> bool:
        """Whether a clip is one row."""
        return getattr(self, "rows", "time") == "clip"

    def kept_layers(self, n_layers: int) -> tuple[int, ...]:
        """Return the numbers of the hidden states that are kept; refuse those there are not."""
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
        return self.folder.name if self.weights == "hub" else None

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
                f"transformers cannot load {self.model} ({self.weights}) {what}: expected a model "
                f"of {self.input}, in a folder as `save_pretrained` of the model and of its "
                f"processor writes it ({one_line(error)})"
            ) from error
        finally:
            logging.set_verbosity(level)
            if bars:
                logging.enable_progress_bar()

    @cached_property
    def _ctranslate2(self) -> Path | None:
        """The file of a package that is CTranslate2's, and no safetensors."""
        is_other = self.weights.startswith(PACKAGE) and not self.weights.endswith(".safetensors")
        return weights_file(self.weights) if is_other else None

    @cached_property
    def folder(self) -> Path:
        """Where the model lies on this machine, fetched; of random weights nothing may be there."""
        if self.weights.startswith(PACKAGE):
            return weights_file(self.weights).parent
        folder = Path(self.model).expanduser()
        if self.weights == "hub":
            wanted = (*_DESCRIPTIONS, *self.more_files)
            for names in _CHECKPOINTS:  # most repositories hold both: one is enough
                folder = hub_folder(self.model, self.revision, (*wanted, *names))
                if any(any(folder.glob(name)) for name in names):
                    break
        if (folder / _ADAPTER).is_file():
            raise EncoderError(
                f"{self.model} is a LoRA adapter, which only adds to a model: load both by peft, "
                "save what `merge_and_unload()` gives, and the processor, with `save_pretrained`, "
                "and name that folder"
            )
        return folder

    def _files(self, *patterns: str) -> list[Path]:
        return [path for each in patterns for path in sorted(self.folder.glob(each))]


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
        return transformers.ASTFeatureExtractor()
    if given == "sound":
        return transformers.Wav2Vec2FeatureExtractor(return_attention_mask=False)
    side_px = getattr(config, "image_size", None) or getattr(config, "crop_size", 224)
    return transformers.ViTImageProcessorPil(size={"height": side_px, "width": side_px})
