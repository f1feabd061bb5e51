import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError

from features.encoders import ENCODERS, AnyEncoder, FrameEncoder, make_encoder, presets
from features.encoders.torch_encoder import TorchEncoder
from features.identity import Sampling, encoder_identity
from tests.features.encoders.samples import (
    CPU,
    embed_sound,
    frames,
    noise,
    onnx_file,
    onnx_node,
    read,
    small_model,
    sound_network,
    text_model,
)

SAMPLING = Sampling(frame_rate_hz=2, sample_rate_hz=16000)


def onnx_spec(folder: Path) -> dict[str, object]:
    mean = [onnx_node("GlobalAveragePool", "x", "y")]
    shapes = {"x": ["n", 3, 32, 32]}, {"y": ["n", 3, 1, 1]}
    path = onnx_file(folder / "mean.onnx", mean, *shapes)
    return {"weights": str(path), "preprocessing": {"size_px": [32, 32]}}


@pytest.fixture
def small_spec(tmp_path, tiny_clip) -> Callable[[str], dict[str, object]]:
    """A small encoder of each kind."""

    def in_folder(save: Callable[..., Path], *kind: str) -> dict[str, object]:
        return {"model": str(save(tmp_path / "model", *kind)), "weights": "folder"}

    specs = {
        "expression": lambda: {"weights": "random"},
        "onnx": lambda: onnx_spec(tmp_path),
        "onnx sound": lambda: {"weights": str(sound_network(tmp_path)), "sample_rate_hz": 16000},
        "open_clip": lambda: {"model": tiny_clip, "weights": "random"},
        "opensmile": lambda: {"model": "eGeMAPSv02"},
        "timm": lambda: {"model": "test_resnet", "weights": "random"},
        "torchvision": lambda: {"model": "mobilenet_v3_small", "weights": "random"},
        "transformers": lambda: in_folder(small_model, "wav2vec2"),
        "transformers pictures": lambda: in_folder(small_model, "vit"),
        "transformers text": lambda: in_folder(text_model) | {"max_tokens": 16},
        "transformers video": lambda: in_folder(small_model, "videomae"),
    }
    names = ("kind", "input")
    return lambda key: {**dict(zip(names, key.split(), strict=False)), **specs[key]()}


def embed(encoder) -> np.ndarray:
    if encoder.modality == "vision":
        return encoder.load_model(CPU).submit(frames(encoder, 3))()
    if encoder.modality == "words":
        return read(encoder, "glad to see you")[1]
    return embed_sound(encoder, noise(1))[1]


CLIP_LEVEL = {"opensmile", "transformers", "transformers text"}


@pytest.mark.parametrize("kind", ENCODERS)
def test_every_kind_keeps_the_contract(kind, small_spec):
    encoder, again = (make_encoder(small_spec(kind)) for _ in range(2))
    rows = embed(encoder)
    assert np.isfinite(rows).all()
    assert (rows.dtype, rows.shape) == (np.float32, (len(rows), encoder.dimension()))
    assert (encoder.kind, bool(encoder.model)) == (kind.split()[0], True)
    assert encoder.is_clip_level() == (kind in CLIP_LEVEL)
    assert np.array_equal(embed(again), rows)
    assert encoder_identity(again, SAMPLING) == encoder_identity(encoder, SAMPLING)
    if isinstance(encoder, FrameEncoder):  # whose batches need not be full
        batch = frames(encoder, 3)
        assert np.array_equal(encoder.load_model(CPU).submit(batch[:2])(), rows[:2])
        assert np.array_equal(batch, frames(encoder, 3))
    with pytest.raises(ValidationError, match="colour"):
        make_encoder(small_spec(kind) | {"colour": "red"})


SMILE = {"kind": "opensmile", "model": "eGeMAPSv02"}
SPEECH = {"kind": "transformers", "model": "wav2vec2", "weights": "hub"}
ONNX = {"kind": "onnx", "weights": "x.onnx", "preprocessing": {"size_px": [4, 6]}}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"kind": "openclip", "model": "ViT-B-32"}, "'openclip'.*'open_clip'"),
        ({"preset": "wavlm-base-plsu"}, "did you mean 'wavlm-base-plus'"),
        (SMILE | {"window_s": 1.0}, "give both, or neither"),
        (SMILE | {"window_s": 2.0, "hop_s": 1e-6}, "hop_s"),
        (SMILE | {"level": "lld", "window_s": 1, "hop_s": 1}, "belongs to `level: functionals`"),
        (SMILE | {"sink": "func"}, "belongs to a `model:` that is a file"),
        (SPEECH | {"weights": "pretrained"}, "weights"),
        (SPEECH | {"layers": "none"}, "nothing is kept"),
        (SPEECH | {"layers": [1, 1]}, "named twice"),
        (SPEECH | {"hop_s": 1}, "belongs to `rows: time`"),
        (SPEECH | {"rows": "time", "window_s": 2, "hop_s": 3}, "no longer than window_s"),
        (ONNX | {"outputs": ["a", "a"]}, "named twice"),
        (ONNX | {"preprocessing": {"size_px": [4, 6], "std": [1, 0, 1]}}, "std"),
    ],
)
def test_an_entry_that_makes_no_sense_is_refused(entry, said):
    with pytest.raises(ValidationError, match=said):
        make_encoder(entry)


def test_an_unknown_key_of_a_kind_is_said_with_its_place():
    class Params(BaseModel):
        encoders: dict[str, AnyEncoder]

    entry = {"kind": "timm", "model": "resnet50", "weights": "random", "level": "lld"}
    with pytest.raises(ValidationError, match=r"encoders\.x\.timm\.level\n  Extra inputs"):
        Params.model_validate({"encoders": {"x": entry}})


@pytest.mark.parametrize("name", presets())
def test_every_preset_is_an_entry_with_its_rights_and_sources(name):
    preset = presets()[name]
    encoder = make_encoder({"preset": name})
    assert encoder == make_encoder(preset.entry)
    assert all(preset._asdict().values())
    if isinstance(encoder, TorchEncoder) and "://" not in encoder.weights:
        assert encoder.weights in encoder.tags


def test_a_preset_s_keys_can_be_overruled_and_its_name_is_no_part_of_the_identity():
    short, long = (
        {"preset": "egemaps", "window_s": 3, "hop_s": 1},
        SMILE | {"window_s": 3, "hop_s": 1},
    )
    assert make_encoder(short) == make_encoder(long)
    names = ("minilm", "wavlm-base-plus", "wav2vec2-affect")
    revisions = [presets()[name].revision()[:9] for name in names]
    assert revisions == ["installed", "main", "8e3d0e563"]


def test_the_registry_imports_no_heavy_library():
    heavy = "{'torch', 'open_clip', 'opensmile', 'timm', 'onnxruntime', 'transformers'}"
    modules = "sys, features.encoders, features.extraction.reading"
    code = f"import {modules}; print({heavy} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
