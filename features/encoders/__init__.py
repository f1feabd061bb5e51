"""The registry of encoder kinds. Adding a kind is one module and one entry here.

The modules import their heavy libraries when a model is described or loaded, not when they are
imported themselves: decode workers use them too and must start fast.
"""

import difflib
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


def check_spec(entry: Mapping[str, Any]) -> EncoderSpec:
    """Check an entry of ``encoders`` in ``params.yaml``.

    Raises
    ------
    EncoderError
        For an unknown kind.
    pydantic.ValidationError
        For an unknown key or a value out of range.
    """
    kind = entry.get("kind")
    if not isinstance(kind, str) or kind not in ENCODERS:
        near = difflib.get_close_matches(str(kind), ENCODERS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise EncoderError(
            f"unknown encoder kind {kind!r}: expected one of {list(ENCODERS)}.{hint}"
        )
    spec: EncoderSpec = _SPECS.validate_python(dict(entry))
    return spec


def make_encoder(spec: EncoderSpec | Mapping[str, Any]) -> Encoder:
    """Build an encoder from its entry in ``params.yaml``; loads no weights.

    Parameters
    ----------
    spec : EncoderSpec or mapping
        A mapping is checked first, by `check_spec`, with its errors.
    """
    checked = check_spec(spec) if isinstance(spec, Mapping) else spec
    return ENCODERS[checked.kind](checked)


_SPECS: TypeAdapter[EncoderSpec] = TypeAdapter(EncoderSpec)

__all__ = [
    "ENCODERS",
    "Encoder",
    "EncoderError",
    "EncoderSpec",
    "FrameEncoder",
    "SoundTransform",
    "check_spec",
    "make_encoder",
]
