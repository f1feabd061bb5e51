"""The registry of encoder kinds. Adding a kind is one module and one entry here.

The modules import their heavy libraries when a model is described or loaded, not when they are
imported themselves: decode workers use them too and must start fast.
"""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Union, cast

from pydantic import BeforeValidator, Discriminator, Tag, TypeAdapter

from features.encoders.base import Encoder, FrameEncoder, SoundTransform
from features.encoders.expression import ExpressionEncoder
from features.encoders.libraries import OpenClipEncoder, TimmEncoder, TorchvisionEncoder
from features.encoders.onnx import OnnxEncoder, OnnxSoundEncoder
from features.encoders.opensmile import OpenSmileEncoder
from features.encoders.presets import with_preset
from features.encoders.recogniser import Recogniser
from features.encoders.transformers_frames import (
    TransformersPictureEncoder,
    TransformersVideoEncoder,
)
from features.encoders.transformers_sound import TransformersSoundEncoder
from features.encoders.transformers_text import TransformersTextEncoder
from features.errors import EncoderError as EncoderError

ENCODERS: dict[str, type[Encoder]] = {
    "expression": ExpressionEncoder,
    "onnx": OnnxEncoder,
    "onnx sound": OnnxSoundEncoder,
    "open_clip": OpenClipEncoder,
    "opensmile": OpenSmileEncoder,
    "timm": TimmEncoder,
    "torchvision": TorchvisionEncoder,
    "transformers": TransformersSoundEncoder,
    "transformers pictures": TransformersPictureEncoder,
    "transformers video": TransformersVideoEncoder,
    "transformers text": TransformersTextEncoder,
}
"""By ``kind``; of a kind with several, by its ``input`` too where that is not the first one's."""


def _key(entry: Any) -> str | None:
    """Return the key of an entry's class in `ENCODERS`."""
    get = entry.get if isinstance(entry, Mapping) else partial(getattr, entry)
    kind, given = (cast(str | None, get(name, None)) for name in ("kind", "input"))
    inputs = ENCODERS[kind].model_fields.get("input") if kind in ENCODERS else None
    if inputs is None or given in (None, inputs.default):
        return kind
    return f"{kind} {given}"


if TYPE_CHECKING:
    AnyEncoder = Encoder
else:  # made of the registry, so that a kind is entered there and nowhere else
    _TAGGED = tuple(Annotated[each, Tag(key)] for key, each in ENCODERS.items())
    AnyEncoder = Annotated[Union[_TAGGED], Discriminator(_key), BeforeValidator(with_preset)]  # noqa: UP007
"""A field of pydantic models: the keys of an entry depend on its ``kind`` and ``input``.

A ``preset`` stands for the keys that `presets` has under its name.
"""


def make_encoder(entry: Mapping[str, Any]) -> Encoder:
    """Make an encoder of an entry as in ``params.yaml``, or of a preset; loads no weights.

    Raises
    ------
    pydantic.ValidationError
        For an unknown kind or preset, an unknown key or a value out of range.
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
