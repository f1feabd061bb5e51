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
        layers = [name for name in arrays if re.match(rf"{part}/.*/ffn/linear_0/bias", name)]
        config[f"{part}_layers"] = len(layers)
        config[f"{part}_ffn_dim"] = len(arrays[layers[0]])
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
    name = re.sub(r"/layer_(\d+)/", r"/layers/\1/", name)
    for theirs, ours in _NAMES.items():  # longer ones come before their ends
        name = name.replace(theirs, ours)
    *place, joined, ending = name.split("/")
    names = joined.split("+")
    parts = zip(names, np.split(array, len(names)), strict=True)
    return {
        ".".join([*place, each, ending]): part
        for each, part in parts
        if (each, ending) != ("k_proj", "bias")  # zeros: Whisper has none
    }
