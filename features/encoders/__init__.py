"""The registry of encoder kinds. Adding a kind is one module and one entry here.

The modules import their heavy libraries when a model is described or loaded, not when they are
imported themselves: decode workers use them too and must start fast.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Field, TypeAdapter

from features.encoders.base import Encoder, FrameEncoder, SoundTransform
from features.encoders.expression import ExpressionEncoder
from features.encoders.onnx import OnnxEncoder
from features.encoders.open_clip import OpenClipEncoder
from features.encoders.opensmile import OpenSmileEncoder
from features.encoders.timm import TimmEncoder
from features.encoders.torchvision import TorchvisionEncoder
from features.encoders.transformers_image import TransformersImageEncoder
from features.encoders.transformers_sound import TransformersEncoder
from features.encoders.transformers_words import Recogniser, TransformersTextEncoder
from features.errors import EncoderError as EncoderError

ENCODERS: dict[str, type[Encoder]] = {
    "expression": ExpressionEncoder,
    "onnx": OnnxEncoder,
    "open_clip": OpenClipEncoder,
    "opensmile": OpenSmileEncoder,
    "timm": TimmEncoder,
    "torchvision": TorchvisionEncoder,
    "transformers": TransformersEncoder,
    "transformers_image": TransformersImageEncoder,
    "transformers_text": TransformersTextEncoder,
}

if TYPE_CHECKING:
    AnyEncoder = Encoder
else:  # made of the registry, so that a kind is entered there and nowhere else
    AnyEncoder = Annotated[Union[tuple(ENCODERS.values())], Field(discriminator="kind")]  # noqa: UP007
"""A field of pydantic models: which keys an entry may have depends on its ``kind``."""


def make_encoder(entry: Mapping[str, Any]) -> Encoder:
    """Make an encoder of an entry as in ``params.yaml``; loads no weights.

    Raises
    ------
    pydantic.ValidationError
        For an unknown kind, an unknown key or a value out of range.
    """
    return _ADAPTER.validate_python(dict(entry))


_ADAPTER: TypeAdapter[AnyEncoder] = TypeAdapter(AnyEncoder)

__all__ = [
    "ENCODERS",
    "AnyEncoder",
    "Encoder",
    "EncoderError",
    "FrameEncoder",
    "Recogniser",
    "SoundTransform",
    "make_encoder",
]
