from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto

from features.encoders import EncoderError, make_encoder
from features.encoders.torch_model import BATCH_SIZE
from features.errors import MediaError
from features.extraction.embedder import EncoderRun
from features.identity import Sampling, encoder_identity
from tests.features.encoders.samples import (
    embed,
    embed_sound,
    onnx_file,
    onnx_node,
    pictures,
    sound_network,
)

SIZE = (4, 6)
SHAPE = ["n", 3, *SIZE]
N_VALUES = 3 * 4 * 6
RNG = np.random.default_rng(3)
MATRICES = {
    "expression": RNG.standard_normal((N_VALUES, 5)).astype(np.float32),
    "valence_arousal": RNG.standard_normal((N_VALUES, 2)).astype(np.float32),
}
SAMPLING = Sampling(frame_rate_hz=2, sample_rate_hz=16000)


@pytest.fixture
def two_heads(tmp_path: Path) -> Path:
    """Two linear heads over all values of the picture."""
    return onnx_file(
        tmp_path / "heads.onnx",
        [
            onnx_node("Flatten", "x", "flat"),
            *(onnx_node("MatMul", f"flat w_{n}", n) for n in MATRICES),
        ],
        {"x": SHAPE},
        {name: ["n", matrix.shape[1]] for name, matrix in MATRICES.items()},
        {f"w_{name}": matrix for name, matrix in MATRICES.items()},
    )


def spec(path: Path | str, preprocessing: dict | None = None, **more: object) -> dict[str, object]:
    geometry = {"size_px": list(SIZE), "mode": "squash", "interpolation": "bilinear"}
    geometry |= preprocessing or {}
    return {"kind": "onnx", "weights": str(path), "preprocessing": geometry, **more}


BYTES = (255, [0, 0, 0], [1, 1, 1])


@pytest.mark.parametrize(
    ("dtype", "colours"),
    [
        (TensorProto.FLOAT, (1, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])),
        (TensorProto.FLOAT, (255, [127.5, 120, 110], [128, 100, 90])),
        *((dtype, BYTES) for dtype in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8)),
    ],
)
@pytest.mark.parametrize("channels", ["rgb", "bgr"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_a_network_sees_what_it_was_trained_to_see(tmp_path, dtype, colours, channels, layout):
    shape = SHAPE if layout == "nchw" else ["n", *SIZE, 3]
    echo = [onnx_node("Cast", "x", "y", to=TensorProto.FLOAT)]
    path = onnx_file(tmp_path / "echo.onnx", echo, {"x": shape}, {"y": shape}, dtype=dtype)
    white, mean, std = colours
    given = {"white": white, "mean": mean, "std": std}
    encoder = make_encoder(spec(path, given, channels=channels, layout=layout))
    batch = pictures(2, SIZE)
    expected = (batch / 255 * white - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    expected = expected[:, ::-1] if channels == "bgr" else expected
    expected = expected.transpose(0, 2, 3, 1) if layout == "nhwc" else expected
    assert embed(encoder, batch) == pytest.approx(expected.reshape(2, -1), abs=1e-4)


@pytest.mark.parametrize("outputs", [None, ["expression"], ["valence_arousal", "expression"]])
def test_outputs_are_named_columns_in_the_given_order(two_heads, outputs, tmp_path):
    encoder = make_encoder(spec(two_heads, outputs=outputs))
    flat = (pictures(3, SIZE) / 255).reshape(3, -1)
    names = outputs or list(MATRICES)
    ours = embed(encoder, pictures(3, SIZE))
    assert ours == pytest.approx(np.hstack([flat @ MATRICES[name] for name in names]), abs=1e-4)
    assert ours.dtype == np.float32
    assert list(encoder.columns().items()) == [(n, MATRICES[n].shape[1]) for n in names]
    assert encoder.dimension() == ours.shape[1]
    run = EncoderRun("heads", encoder, SAMPLING, tmp_path)
    assert [tuple(each) for each in run.metadata()["outputs"]] == list(encoder.columns().items())


def test_a_fixed_number_of_pictures_is_the_batch_size(tmp_path):
    shape = [2, 3, *SIZE]
    same = [onnx_node("Identity", "x", "y")]
    path = onnx_file(tmp_path / "two.onnx", same, {"x": shape}, {"y": shape})
    encoder = make_encoder(spec(path))
    model = encoder.load_model(torch.device("cpu"))
    assert model.batch_size == 2
    assert encoder.columns() == {"y": N_VALUES}
    batch = pictures(3, SIZE)
    assert model.submit(batch)() == pytest.approx(batch.reshape(3, -1) / 255, abs=1e-6)


def test_a_gpu_without_cuda_in_onnx_runtime_leaves_the_work_to_the_cpu(two_heads):
    model = make_encoder(spec(two_heads)).load_model(torch.device("cuda"))
    assert model.batch_size == BATCH_SIZE["cuda"]
    assert model.submit(pictures(1, SIZE))().shape == (1, 7)
    assert not model.runs_beside


def test_what_changes_the_numbers_changes_the_identity(two_heads, tmp_path):
    def identity(entry: dict[str, object]) -> str:
        return encoder_identity(make_encoder(entry), SAMPLING)

    first = identity(spec(two_heads))
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(two_heads.read_bytes())
    assert identity(spec(copy)) == identity(spec(two_heads, model="a name")) == first
    assert make_encoder(spec(copy)).model == "copy"
    changes = [
        spec(two_heads, channels="bgr"),
        spec(two_heads, layout="nhwc"),
        spec(two_heads, outputs=["expression"]),
        spec(two_heads, {"white": 255}),
        spec(two_heads, {"mean": [0.5, 0.5, 0.5]}),
        spec(two_heads, {"mode": "longest"}),
        spec(two_heads, {"fill": [114, 114, 114]}),
    ]
    assert len({first, *map(identity, changes)}) == 1 + len(changes)


def test_a_file_that_does_not_hold_a_whole_network_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = onnx_file(
        tmp_path / "outside.onnx",
        [onnx_node("Add", "x w", "y")],
        {"x": SHAPE},
        {"y": SHAPE},
        {"w": np.ones((1, 3, *SIZE), np.float32)},
        **{"save_as_external_data": True, "location": "outside.data", "size_threshold": 0},
    )
    with pytest.raises(EncoderError, match=r"Expected one file.*onnx\.save"):
        make_encoder(spec(path)).dimension()
    path.write_bytes(b"no network")
    with pytest.raises(EncoderError, match=r"outside\.onnx cannot be opened as an ONNX network"):
        make_encoder(spec(path)).dimension()


@pytest.mark.parametrize(
    ("made", "shape", "taken"),
    [
        (onnx_node("Add", "x z", "y"), SHAPE, "'x' .*, 'z' "),
        (onnx_node("ReduceMean", "x", "y", axes=[0]), [1, 3, *SIZE], "'x' "),  # no row per picture
        (onnx_node("Reshape", "x one", "y"), ["n", N_VALUES], "'x' "),  # one picture
    ],
)
def test_a_network_that_cannot_embed_batches_says_what_it_takes(tmp_path, made, shape, taken):
    inputs = {name: SHAPE for name in made.input if name in "xz"}
    weights = {"one": np.array([1, N_VALUES])} if "one" in made.input else None
    path = onnx_file(tmp_path / "misfit.onnx", [made], inputs, {"y": shape}, weights)
    with pytest.raises(EncoderError, match=rf"misfit\.onnx cannot .*It takes {taken}.*gives 'y' "):
        embed(make_encoder(spec(path)), pictures(1, SIZE))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outputs": ["expression", "age"]}, r"age.*gives 'expression'.*'valence_arousal'"),
        ({"layout": "nhwc"}, r"shape \(1, 4, 6, 3\).*takes 'x' .*\['n', 3, 4, 6\].*`layout`"),
        ({"preprocessing": {"size_px": [6, 4]}}, r"shape \(1, 3, 6, 4\).*correct `size_px`"),
    ],
)
def test_what_the_file_does_not_have_or_take_is_refused(two_heads, change, message):
    with pytest.raises(EncoderError, match=message):
        make_encoder(spec(two_heads) | change).dimension()


@pytest.mark.parametrize("shape", [("n", "t"), (2, 1, 16000)])
def test_waves_give_a_row_a_window_whoever_is_beside_them(tmp_path, shape):
    spec = {"kind": "onnx", "input": "sound", "weights": str(sound_network(tmp_path, shape))}
    encoder = make_encoder(spec | {"sample_rate_hz": 16000, "window_s": 1})
    assert encoder.columns() == {"Means": 1, "range": 2}
    rng = np.random.default_rng(0)
    clips = [rng.normal(0.1, 0.1, n).astype(np.float32) for n in (40000, 8000, 33000)]
    expected = []
    for part in np.split(clips[0], [16000, 32000]):
        padded = np.pad(part, (0, 16000 - len(part) if shape[0] == 2 else 0))
        expected.append([padded.mean(), padded.max(), padded.min()])
    for batch_size in (1, 3, 8):
        time_s, rows = embed_sound(encoder, *clips, batch_size=batch_size)
        assert time_s.tolist() == [0.5, 1.5, 2.25]
        assert rows == pytest.approx(np.array(expected), abs=1e-6)
    time_s, _ = embed_sound(encoder, clips[2])  # the last 0.06 s are left out
    assert time_s.tolist() == [0.5, 1.5]
    with pytest.raises(MediaError, match="there are no 0.1 s of sound"):
        embed_sound(encoder, clips[1][:1000])
    only = make_encoder(spec | {"sample_rate_hz": 16000, "window_s": 1, "outputs": ["range"]})
    assert np.array_equal(embed_sound(only, clips[1])[1], embed_sound(encoder, clips[1])[1][:, 1:])


@pytest.mark.parametrize(
    ("shape", "said"),
    [((1, 1, 8000), "8000.*correct .*`window_s`"), ((16000,), r"takes 'wave' .*\[16000\]")],
)
def test_a_network_of_another_length_says_which_it_takes(tmp_path, shape, said):
    path = tmp_path / "echo.onnx"
    onnx_file(path, [onnx_node("Identity", "wave", "y")], {"wave": shape}, {"y": shape})
    spec = {"kind": "onnx", "input": "sound", "sample_rate_hz": 16000, "weights": str(path)}
    with pytest.raises(EncoderError, match=said):
        make_encoder(spec).dimension()
