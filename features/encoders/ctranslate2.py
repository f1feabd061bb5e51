"""Whisper in CTranslate2's file format, as transformers' ``WhisperModel`` names its tensors.

faster-whisper and what builds on it keep Whisper so: ``model.bin``, a list of named arrays.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from transformers import WhisperConfig

_DTYPES = ["<f4", "i1", "<i2", "<i4", "<f2"]
_KIND = "WhisperSpec"

_ATTENTION = {
    "self_attention": ("self_attn", [["q_proj", "k_proj", "v_proj"], ["out_proj"]]),
    "attention": ("encoder_attn", [["q_proj"], ["k_proj", "v_proj"], ["out_proj"]]),
}
"""What transformers calls an attention, and which of its matrices lie one above the other."""

_NAMES = {
    "self_attention/layer_norm": "self_attn_layer_norm",
    "attention/layer_norm": "encoder_attn_layer_norm",
    "ffn/layer_norm": "final_layer_norm",
    "ffn/linear_0": "fc1",
    "ffn/linear_1": "fc2",
    "embeddings": "embed_tokens",
    "position_encodings": "embed_positions",
}
_ENDINGS = {"gamma": "weight", "beta": "bias", "encodings": "weight"}


def read_whisper(path: Path) -> "tuple[WhisperConfig, dict[str, NDArray[np.float32]]]":
    """Read a Whisper of any size.

    Returns
    -------
    config : transformers.WhisperConfig
        Of the sizes that the arrays have.
    state : dict of str to ndarray of float32
        All that ``WhisperModel`` has.

    Raises
    ------
    ValueError
        When it is no such file, or its numbers are quantised.
    """
    from transformers import WhisperConfig

    arrays = dict(_arrays(path))
    if "encoder/conv1/weight" not in arrays:
        raise ValueError("it holds no Whisper.")
    width, n_mel_bins, _ = arrays["encoder/conv1/weight"].shape
    config: dict[str, Any] = {"d_model": width, "num_mel_bins": n_mel_bins}
    config["vocab_size"] = len(arrays["decoder/embeddings/weight"])
    for part, positions in (
        ("encoder", "max_source_positions"),
        ("decoder", "max_target_positions"),
    ):
        config[positions] = len(arrays[f"{part}/position_encodings/encodings"])
        config[f"{part}_attention_heads"] = int(arrays[f"{part}/num_heads"])
        feed_forward = [name for name in arrays if name.endswith("ffn/linear_0/bias")]
        of_part = [name for name in feed_forward if name.startswith(part)]
        config[f"{part}_layers"] = len(of_part)
        config[f"{part}_ffn_dim"] = len(arrays[of_part[0]])
    state: dict[str, NDArray[np.float32]] = {}
    for name, array in arrays.items():
        if array.ndim and "alignment" not in name:
            state.update(_renamed(name, array.astype(np.float32)))
    return WhisperConfig(**config), state


def _arrays(path: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    def number(form: str) -> int:
        (value,) = struct.unpack(form, file.read(struct.calcsize(form)))
        return int(value)

    def text() -> str:
        return file.read(number("<H")).rstrip(b"\0").decode()

    try:
        with path.open("rb") as file:
            _version, kind, _revision = number("<I"), text(), number("<I")
            if kind != _KIND:
                raise ValueError(f"it holds a {kind}, not a {_KIND}.")
            for _ in range(number("<I")):
                name = text()
                shape = [number("<I") for _ in range(number("<B"))]
                dtype = np.dtype(_DTYPES[number("<B")])
                n_bytes = number("<I")
                if len(content := file.read(n_bytes)) < n_bytes:
                    raise EOFError
                flat = np.frombuffer(content, dtype)
                if flat.size > 1 and dtype.kind != "f" and "alignment" not in name:
                    raise ValueError(
                        "its numbers are quantised: take a file of float16 or float32."
                    )
                yield name, flat.reshape(shape)
    except (struct.error, UnicodeDecodeError, IndexError, EOFError) as error:
        raise ValueError("it is no file of CTranslate2, or only part of one.") from error


def _renamed(name: str, array: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    part, *inner, ending = name.split("/")
    place = [part]
    if inner and inner[0].startswith("layer_") and inner[0] != "layer_norm":
        place += ["layers", inner.pop(0).removeprefix("layer_")]
    ending = _ENDINGS.get(ending, ending)
    if inner[0] in _ATTENTION and inner[1].startswith("linear_"):
        attention, matrices = _ATTENTION[inner[0]]
        names = matrices[int(inner[1].removeprefix("linear_"))]
        parts = dict(zip(names, np.split(array, len(names)), strict=True))
        if ending == "bias":
            parts.pop("k_proj", None)  # zeros: Whisper has none
        return {".".join([*place, attention, key, ending]): each for key, each in parts.items()}
    inner = [_NAMES.get("/".join(inner), ".".join(inner))]
    return {".".join([*place, *inner, ending]): array}
