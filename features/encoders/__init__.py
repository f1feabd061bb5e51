"""The registry of encoder kinds. Adding a kind is one module and one entry here.

The modules import their heavy libraries when a model is described or loaded, not when they are
imported themselves: decode workers use them too and must start fast.
"""

import difflib
from collections.abc import Mapping
from typing import Any

from features.encoders.base import EncoderError, FrameEncoder, SoundEncoder
from features.encoders.onnx import OnnxEncoder
from features.encoders.open_clip import OpenClipEncoder
from features.encoders.opensmile import OpenSmileEncoder
from features.encoders.timm import TimmEncoder
from features.encoders.torchvision import TorchvisionEncoder

MediaEncoder = FrameEncoder | SoundEncoder
Encoder = MediaEncoder

ENCODERS: dict[str, type[FrameEncoder] | type[SoundEncoder]] = {
    "onnx": OnnxEncoder,
    "open_clip": OpenClipEncoder,
    "opensmile": OpenSmileEncoder,
    "timm": TimmEncoder,
    "torchvision": TorchvisionEncoder,
}


def make_encoder(spec: Mapping[str, Any]) -> Encoder:
    """Build an encoder from its entry in ``params.yaml``; loads no weights.

    Parameters
    ----------
    spec : mapping
        ``kind`` (a key of `ENCODERS`) and what that kind's ``Spec`` asks for.

    Raises
    ------
    EncoderError
        For an unknown kind.
    pydantic.ValidationError
        For an unknown key or a value out of range.
    """
    kind = spec.get("kind")
    if not isinstance(kind, str) or kind not in ENCODERS:
        near = difflib.get_close_matches(str(kind), ENCODERS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise EncoderError(
            f"unknown encoder kind {kind!r}: expected one of {list(ENCODERS)}.{hint}"
        )
    encoder_class = ENCODERS[kind]
    return encoder_class(encoder_class.Spec.model_validate(dict(spec)))


__all__ = [
    "ENCODERS",
    "Encoder",
    "EncoderError",
    "FrameEncoder",
    "MediaEncoder",
    "SoundEncoder",
    "make_encoder",
]
