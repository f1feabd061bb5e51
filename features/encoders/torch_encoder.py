"""What the kinds that run on torch share: weights by tag, file or seed, and a network of them."""

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from features.encoders.base import FrameEncoder
from features.encoders.weights import RANDOM, named_in_order, one_line, weights_file
from features.errors import EncoderError
from features.files import file_sha256

if TYPE_CHECKING:
    import torch

    from features.encoders.checkpoint import State
    from features.encoders.torch_model import TorchModel


TIMM_NAMES = {
    "efficientnet_v2_s": "efficientnetv2_s",
    "efficientnet_v2_m": "efficientnetv2_m",
    "mobilenet_v2": "mobilenetv2_100",
    "mobilenet_v3_large": "mobilenetv3_large_100",
    "mobilenet_v3_small": "mobilenetv3_small_100",
    "swin_b": "swin_base_patch4_window7_224",
    "swin_s": "swin_small_patch4_window7_224",
    "swin_t": "swin_tiny_patch4_window7_224",
    "vit_b_16": "vit_base_patch16_224",
    "vit_b_32": "vit_base_patch32_224",
    "vit_l_16": "vit_large_patch16_224",
}
"""What timm calls an architecture, where that is not torchvision's name."""


class TorchEncoder(FrameEncoder):
    """A frame encoder whose network a torch library builds; a kind fills in what is its own.

    Attributes
    ----------
    weights : str
        A pretrained tag of the library; a file: local, of an installed package
        (``package://<import name>/<path>``), or of the Hugging Face hub
        (``hf://owner/repo/file``); or ``random`` (seeded; for tests).
    seed : int
        Of random weights; without meaning otherwise.
    precision : {"fp32", "bf16"}
        Arithmetic of the forward pass, on every device. bf16 is the faster one on GPUs and on
        processors with AVX-512 bf16 or AMX, and several times slower on others: so it is set and
        not guessed. ``benchmarks/encoders.py`` measures both.
    preprocessing_of : str or None
        The tag whose preprocessing a file or random weights take; None: that of the library's
        default for the model.
    """

    distribution: ClassVar[str]
    """The installed package that builds the networks: another version draws others from a seed."""

    weights: str
    seed: int = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    preprocessing_of: str | None = None

    @property
    def preprocessing_tag(self) -> str | None:
        """The tag that preprocessing is taken from; None: the library's default for this model."""
        tag = self.preprocessing_of
        if tag is None:
            return self.weights if self.weights in self.tags else None
        if tag not in self.tags:
            raise EncoderError(
                f"`preprocessing_of: {tag}` is no tag of {self.model}: expected one of "
                f"{list(self.tags)}"
            )
        return tag

    def weights_digest(self) -> str:
        """Digest of the checkpoint's bytes; of random weights, the seed and who draws from it."""
        if self._path is not None:
            return file_sha256(self._path)
        versions = [f"{name}-{version(name)}" for name in ("torch", self.distribution)]
        return "random:" + ":".join([str(self.seed), *dict.fromkeys(versions)])

    def load_model(self, device: "torch.device | None" = None) -> "TorchModel":
        """Build the network, load the weights, and put the embedding part on the device."""
        import torch

        from features.encoders.torch_model import TorchModel

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            network = self.build() if self._path is None else self._loaded(self._path)
        preprocessing = self.picture_preprocessing()
        return TorchModel(network, self.precision, device, preprocessing=preprocessing)

    def dimension(self) -> int:
        """Width of an embedding, found without the weights."""
        import torch

        from features.encoders.torch_model import run

        with torch.device("meta"), torch.inference_mode():
            black = torch.zeros(1, 3, *self.picture_preprocessing().geometry.size_px)
            return run(self.build().eval(), black).shape[1]

    @property
    def tags(self) -> Mapping[str, Callable[[], Path]]:
        """How the checkpoint of each pretrained tag is found; empty for a library without tags.

        Raises
        ------
        EncoderError
            When the library has no such model.
        """
        return {}

    @abstractmethod
    def build(self) -> "torch.nn.Module":
        """Build the network from normalised pictures to embeddings, with random weights."""

    def convert(self, state: "State", network: "torch.nn.Module") -> "State":  # noqa: ARG002
        """Bring a checkpoint's tensors under older names, or in other shapes, to the network's."""
        return state

    def _loaded(self, path: Path) -> "torch.nn.Module":
        """Build the network, or its twin, with a checkpoint; say what of that was left out."""
        from features.encoders.checkpoint import load_trunk

        errors = []
        for encoder in self._itself_and_twin():
            network = encoder.build()
            convert = _in_order if named_in_order(self.weights) else encoder.convert
            try:
                said = load_trunk(network, path, partial(convert, network=network))
            except Exception as error:  # safetensors, torch and filters of libraries have their own
                errors.append(error.with_traceback(None))  # whose frames keep what was tried
                continue
            if encoder is not self:
                said = f"{said or path}; run as {encoder.kind}'s {encoder.model}"
            if said and self.weights not in self.tags:
                warnings.warn(said, stacklevel=3)
            return network
        why = errors[0] if isinstance(errors[0], ValueError) else one_line(errors[0])
        raise EncoderError(
            f"the weights {path} cannot be loaded into {self.model}: {why}"
        ) from errors[0]

    def _itself_and_twin(self) -> Iterator["TorchEncoder"]:
        """Yield also the same architecture as the other of timm and torchvision has it."""
        from features.encoders import make_encoder

        yield self
        names = {
            "timm": {theirs: ours for ours, theirs in TIMM_NAMES.items()},
            "torchvision": TIMM_NAMES,
        }
        if self.kind in names:
            model = names.pop(self.kind).get(self.model, self.model)
            twin = make_encoder({"kind": next(iter(names)), "model": model, "weights": RANDOM})
            with suppress(EncoderError):  # it has no such model
                if twin.dimension() == self.dimension():
                    yield cast(TorchEncoder, twin)

    @cached_property
    def _path(self) -> Path | None:
        """The checkpoint, or None for random weights."""
        tags = self.tags  # an unknown model is said before unknown weights
        if self.weights == RANDOM:
            return None
        return weights_file(self.weights, tags)


def _in_order(state: "State", network: "torch.nn.Module") -> "State":
    # Of a checkpoint with a head, the head is last.
    return dict(zip(network.state_dict(), state.values(), strict=False))
