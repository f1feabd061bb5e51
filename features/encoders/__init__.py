"""The registry of encoder kinds. Adding a kind is one module and one entry here.

The modules import their heavy libraries when a model is described or loaded, not when they are
imported themselves: decode workers use them too and must start fast.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Field, TypeAdapter

from features.encoders.base import Encoder, FrameEncoder, SoundTransform, Spec
from features.encoders.onnx import OnnxEncoder
from features.encoders.open_clip import OpenClipEncoder
from features.encoders.opensmile import OpenSmileEncoder
from features.encoders.timm import TimmEncoder
from features.encoders.torchvision import TorchvisionEncoder
from features.errors import EncoderError as EncoderError

ENCODERS: dict[str, type[Encoder]] = {
    "onnx": OnnxEncoder,
    "open_clip": OpenClipEncoder,
    "opensmile": OpenSmileEncoder,
    "timm": TimmEncoder,
    "torchvision": TorchvisionEncoder,
}


if TYPE_CHECKING:
    EncoderSpec = Spec
else:  # made of the registry, so that a kind is entered there and nowhere else
    _Specs = Union[tuple(each.Spec for each in ENCODERS.values())]  # noqa: UP007
    EncoderSpec = Annotated[_Specs, Field(discriminator="kind")]
"""An entry under ``encoders`` in ``params.yaml``: a union, what is allowed depends on ``kind``."""


def make_encoder(spec: EncoderSpec | Mapping[str, Any]) -> Encoder:
    """Build an encoder from its entry in ``params.yaml``; loads no weights.

    Parameters
    ----------
    spec : EncoderSpec or mapping
        A mapping is checked first.

    Raises
    ------
    pydantic.ValidationError
        For an unknown kind, an unknown key or a value out of range.
    """
    checked = _SPECS.validate_python(dict(spec)) if isinstance(spec, Mapping) else spec
    return ENCODERS[checked.kind](checked)


_SPECS: TypeAdapter[EncoderSpec] = TypeAdapter(EncoderSpec)

__all__ = [
    "ENCODERS",
    "Encoder",
    "EncoderError",
    "EncoderSpec",
    "FrameEncoder",
    "SoundTransform",
    "make_encoder",
]
