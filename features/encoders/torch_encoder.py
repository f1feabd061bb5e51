"""What the kinds that run on torch share: weights by tag, file or seed, and a network of them."""

import warnings
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from features.encoders.base import FrameEncoder, Model
from features.encoders.pieces import Preprocessing
from features.encoders.weights import RANDOM, named_in_order, one_line, weights_file
from features.errors import EncoderError
from features.files import file_sha256

if TYPE_CHECKING:
    import torch

    from features.encoders.checkpoint import State


class TorchEncoder(FrameEncoder):
    """A frame encoder whose network a torch library builds; a kind fills in what is its own.

    Attributes
    ----------
    weights : str
        A pretrained tag of the library, a file, one of an installed package
        (``package://<import name>/<path>``) or of the Hugging Face hub (``hf://owner/repo/file``),
        or ``random`` (seeded; for tests).
    seed : int
        Of random weights; without meaning otherwise.
    precision : {"fp32", "bf16"}
        Arithmetic of the forward pass, on every device. bf16 is the faster one on GPUs and on
        processors with AVX-512 bf16 or AMX, and several times slower on others: so it is set and
        not guessed. ``benchmarks/encoders.py`` measures both.
    preprocessing_of : str or None
        The tag whose preprocessing a local file or random weights take; None: that of the
        library's default for the model.
    """

    distribution: ClassVar[str]
    """The installed package that builds the networks: another version draws others from a seed."""

    weights: str
    seed: int = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    preprocessing_of: str | None = None

    def picture_preprocessing(self) -> Preprocessing:
        """Return that of the tag; of `preprocessing_of`, or the default, for other weights."""
        return self.preprocessing_for(self.preprocessing_tag)

    @property
    def preprocessing_tag(self) -> str | None:
        """The tag that preprocessing is taken from; None: the library's default."""
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

    def load_model(self, device: "torch.device | None" = None) -> Model:
        """Build the network, load the weights, and put the embedding part on the device."""
        import torch

        from features.encoders.torch_model import TorchFrameModel

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            network = self.build()
            if self._path is not None:
                network = self._load(network, self._path)
        return TorchFrameModel(network, self.picture_preprocessing(), self.precision, device)

    def dimension(self) -> int:
        """Width of an embedding, found without the weights."""
        import torch

        from features.encoders.torch_model import run

        with torch.device("meta"), torch.inference_mode():
            black = torch.zeros(1, 3, *self.picture_preprocessing().geometry.size_px)
            return run(self.build().eval(), black).shape[1]

    @property
    @abstractmethod
    def tags(self) -> Sequence[str]:
        """The pretrained tags that the library has for this model.

        Raises
        ------
        EncoderError
            When the library has no such model.
        """

    @abstractmethod
    def preprocessing_for(self, tag: str | None) -> Preprocessing:
        """Return the preprocessing of a tag; None: the library's default for this model."""

    @abstractmethod
    def fetch(self, tag: str) -> Path:
        """Fetch a tag's checkpoint through the library's own download and cache."""

    @abstractmethod
    def build(self) -> "torch.nn.Module":
        """Build the network from normalised pictures to embeddings, with random weights."""

    def convert(self, state: "State", network: "torch.nn.Module") -> "State":  # noqa: ARG002
        """Bring a checkpoint's tensors under older names, or in other shapes, to the network's."""
        return state

    def twin(self) -> "TorchEncoder | None":
        """Return the same architecture as another library has it, under other names."""
        return None

    def _load(self, network: "torch.nn.Module", path: Path) -> "torch.nn.Module":
        """Load a checkpoint into the network, or into its twin; say what was left out."""
        from features.encoders.checkpoint import load_trunk

        try:
            said = load_trunk(network, path, lambda state: self._renamed(state, network))
        except EncoderError:
            raise
        except Exception as error:  # safetensors, torch and filters of libraries have their own
            twin = self.twin()
            if twin is not None and twin.dimension() == self.dimension():
                other = twin.build()
                with suppress(Exception):
                    said = load_trunk(other, path, lambda state: twin.convert(state, other))
                    warnings.warn(f"{said}; run as {twin.kind}'s {twin.model}", stacklevel=3)
                    return other
            raise EncoderError(
                f"the weights {path} cannot be loaded into {self.model}: {one_line(error)} Check "
                "that the file is whole, and set `model:` to the architecture it was saved from."
            ) from error
        if said and self.weights not in self.tags:
            warnings.warn(said, stacklevel=3)
        return network

    def _renamed(self, state: "State", network: "torch.nn.Module") -> "State":
        if named_in_order(self.weights):
            return dict(zip(network.state_dict(), state.values(), strict=False))  # heads come last
        return self.convert(state, network)

    @cached_property
    def _path(self) -> Path | None:
        """The checkpoint, or None for random weights."""
        tags = self.tags  # an unknown model is said before unknown weights
        if self.weights == RANDOM:
            return None
        return weights_file(self.weights, tags, self.fetch)
