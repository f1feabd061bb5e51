"""Whisper in CTranslate2's file format, as transformers' ``WhisperModel`` names its tensors.

faster-whisper and what builds on it keep Whisper so: ``model.bin``, a list of named arrays.
"""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from transformers import WhisperConfig

_DTYPES = ["<f4", "i1", "<i2", "<i4", "<f2"]
_KIND = "WhisperSpec"

_NAMES = {
    "self_attention/layer_norm": "self_attn_layer_norm",
    "self_attention/linear_0": "self_attn/q_proj+k_proj+v_proj",
    "self_attention/linear_1": "self_attn/out_proj",
    "attention/layer_norm": "encoder_attn_layer_norm",
    "attention/linear_0": "encoder_attn/q_proj",
    "attention/linear_1": "encoder_attn/k_proj+v_proj",
    "attention/linear_2": "encoder_attn/out_proj",
    "ffn/layer_norm": "final_layer_norm",
    "ffn/linear_0": "fc1",
    "ffn/linear_1": "fc2",
    "embeddings": "embed_tokens",
    "position_encodings/encodings": "embed_positions/weight",
    "gamma": "weight",
    "beta": "bias",
}
"""What transformers calls parts of a name, by CTranslate2's; + joins matrices that lie in one."""


def read_whisper(path: Path) -> "tuple[WhisperConfig, dict[str, torch.Tensor]]":
    """Read a Whisper of any size.

    Returns
    -------
    config : transformers.WhisperConfig
        Of the sizes that the arrays have.
    state : dict of str to tensor of float32
        All that ``WhisperModel`` has.

    Raises
    ------
    ValueError, struct.error
        When it is no such file, or only part of one, or its numbers are quantised.
    """
    import torch
    from transformers import WhisperConfig

    arrays = dict(_arrays(path))
    width, n_mel_bins, _ = arrays["encoder/conv1/weight"].shape
    config: dict[str, Any] = {"d_model": width, "num_mel_bins": n_mel_bins}
    config["vocab_size"] = len(arrays["decoder/embeddings/weight"])
    for part, role in {"encoder": "source", "decoder": "target"}.items():
        positions = arrays[f"{part}/position_encodings/encodings"]
        layers = [name for name in arrays if re.match(rf"{part}/.*/ffn/linear_0/bias", name)]
        config[f"max_{role}_positions"] = len(positions)
        config[f"{part}_attention_heads"] = int(arrays[f"{part}/num_heads"])
        config[f"{part}_layers"] = len(layers)
        config[f"{part}_ffn_dim"] = len(arrays[layers[0]])
    state: dict[str, torch.Tensor] = {}
    for name, array in arrays.items():
        if array.ndim and "alignment" not in name:
            if array.dtype.kind != "f":
                raise ValueError("its numbers are quantised: take a file of float16 or float32.")
            state |= _renamed(name, torch.from_numpy(array.astype(np.float32)))
    return WhisperConfig(**config), state


def _arrays(path: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    def number(form: str) -> int:
        (value,) = struct.unpack(form, file.read(struct.calcsize(form)))
        return int(value)

    def text() -> str:
        return file.read(number("<H")).rstrip(b"\0").decode(errors="replace")

    with path.open("rb") as file:
        _version, kind, _revision = number("<I"), text(), number("<I")
        if kind != _KIND:
            raise ValueError(f"{path} is of {kind[:20]!r}, not CTranslate2's of a {_KIND}.")
        for _ in range(number("<I")):
            name = text()
            shape = [number("<I") for _ in range(number("<B"))]
            dtype = _DTYPES[number("<B")]
            yield name, np.frombuffer(file.read(number("<I")), dtype).reshape(shape)


def _renamed(name: str, values: "torch.Tensor") -> "dict[str, torch.Tensor]":
    name = re.sub(r"/layer_(\d+)/", r"/layers/\1/", name)
    for theirs, ours in _NAMES.items():  # longer ones come before their ends
        name = name.replace(theirs, ours)
    *place, joined, ending = name.split("/")
    names = joined.split("+")
    return {
        ".".join([*place, each, ending]): part
        for each, part in zip(names, values.tensor_split(len(names)), strict=True)
        if (each, ending) != ("k_proj", "bias")  # zeros: Whisper has none
    }
