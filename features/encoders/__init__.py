"""The registry of encoder kinds, and of the entries that are known by a name.

Adding a kind is one module and one entry in `ENCODERS`; adding a name, one in `files/presets.yaml`.
The modules import their heavy libraries when a model is described or loaded, not when they are
imported themselves: decode workers use them too and must start fast.
"""

from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Union, cast

from pydantic import BeforeValidator, Discriminator, Tag, TypeAdapter

from features.encoders.base import Encoder, FrameEncoder, SoundTransform
from features.encoders.expression import ExpressionEncoder
from features.encoders.libraries import OpenClipEncoder, TimmEncoder, TorchvisionEncoder
from features.encoders.onnx import OnnxEncoder, OnnxSoundEncoder
from features.encoders.opensmile import OpenSmileEncoder
from features.encoders.transformers_frames import (
    TransformersPictureEncoder,
    TransformersVideoEncoder,
)
from features.encoders.transformers_sound import TransformersSoundEncoder
from features.encoders.transformers_words import Recogniser, TransformersTextEncoder
from features.encoders.weights import PACKAGE
from features.errors import EncoderError, nearest

__all__ = ["Encoder", "EncoderError", "FrameEncoder", "Recogniser", "SoundTransform"]

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


class Preset(NamedTuple):
    """An entry that is known by a name, and what to know before it is used.

    Attributes
    ----------
    about, licence, parameters, trained_on, cite : str
        What it is, may be used for, how large it is, what it learned from, whom to cite.
    entry : mapping
        As under ``encoders`` in ``params.yaml``.
    """

    about: str
    entry: Mapping[str, Any]
    licence: str
    parameters: str
    trained_on: str
    cite: str

    def revision(self) -> str:
        """Say which commit or branch of a hub's repository it is, if it does not come with us."""
        is_here = str(self.entry.get("weights", PACKAGE)).startswith(PACKAGE)
        return "installed" if is_here else str(self.entry.get("revision", "main"))


@cache
def presets() -> dict[str, Preset]:
    """Read all presets, by name."""
    from ruamel.yaml import YAML  # not for decode workers

    text = Path(__file__).with_name("files").joinpath("presets.yaml").read_text(encoding="utf-8")
    return {name: Preset(**preset) for name, preset in YAML(typ="safe").load(text).items()}


def make_encoder(entry: Mapping[str, Any]) -> Encoder:
    """Make an encoder of an entry as in ``params.yaml``, or of a preset; loads no weights.

    Raises
    ------
    pydantic.ValidationError
        For an unknown kind or preset, an unknown key or a value out of range.
    """
    return _ADAPTER.validate_python(dict(entry))


def _with_preset(entry: Any) -> Any:
    """Put a preset's keys in the place of its name; the entry's own keys overrule them."""
    if not isinstance(entry, Mapping) or "preset" not in entry:
        return entry
    name = str(entry["preset"])
    if name not in presets():
        raise ValueError(f"unknown preset {name!r}{nearest(name, list(presets()))}")
    own = {key: value for key, value in entry.items() if key != "preset"}
    return {**presets()[name].entry, **own}


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
    AnyEncoder = Annotated[Union[_TAGGED], Discriminator(_key), BeforeValidator(_with_preset)]  # noqa: UP007
"""A field of pydantic models: the keys of an entry depend on its ``kind`` and ``input``.

A ``preset`` stands for the keys that `presets` has under its name.
"""

_ADAPTER: TypeAdapter[AnyEncoder] = TypeAdapter(AnyEncoder)
