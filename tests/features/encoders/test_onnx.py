from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from pydantic import ValidationError

from features.encoders import EncoderError, make_encoder
from features.encoders.torch_model import BATCH_SIZE
from features.extraction import extract, index_files
from features.identity import Sampling, encoder_identity
from features.store import read_store
from tests.features.encoders.samples import CPU, embed, normalised, pictures

HEIGHT, WIDTH = SIZE = (4, 6)
N_VALUES = 3 * HEIGHT * WIDTH
RNG = np.random.default_rng(3)
MATRICES = {
    "expression": RNG.standard_normal((N_VALUES, 5)).astype(np.float32),
    "valence_arousal": RNG.standard_normal((N_VALUES, 2)).astype(np.float32),
}
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, list],
    outputs: dict[str, list],
    weights: dict[str, np.ndarray] | None = None,
    dtype: int = TensorProto.FLOAT,
    **more: object,
) -> Path:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in inputs.items()],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in outputs.items()
        ],
        [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), path, **more)
    return path


@pytest.fixture
def two_heads(tmp_path: Path) -> Path:
    """Two linear heads over all values of the picture."""
    return save(
        tmp_path / "heads.onnx",
        [
            helper.make_node("Flatten", ["x"], ["flat"]),
            *(helper.make_node("MatMul", ["flat", f"w_{name}"], [name]) for name in MATRICES),
        ],
        {"x": ["n", 3, HEIGHT, WIDTH]},
        {name: ["n", matrix.shape[1]] for name, matrix in MATRICES.items()},
        {f"w_{name}": matrix for name, matrix in MATRICES.items()},
    )


def echo(path: Path, shape: list, dtype: int = TensorProto.FLOAT, **more: object) -> Path:
    """Save a network that gives its input back, so that tests see what came in."""
    node = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)
    return save(path, [node], {"x": shape}, {"y": shape}, dtype=dtype, **more)


def spec(path: Path | str, preprocessing: dict | None = None, **more: object) -> dict[str, object]:
    geometry = {"size_px": list(SIZE), "mode": "squash", "interpolation": "bilinear"}
    return {
        "kind": "onnx",
        "weights": str(path),
        "preprocessing": geometry | (preprocessing or {}),
        **more,
    }


def seen(encoder, batch: np.ndarray) -> np.ndarray:
    """What an `echo` network was given."""
    return embed(encoder, batch).reshape(len(batch), 3, *SIZE)


def test_a_network_gives_the_same_as_in_torch(tmp_path):
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(3, 7, 3, padding=1)
    path = save(
        tmp_path / "convolution.onnx",
        [
            helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("GlobalAveragePool", ["c"], ["y"]),
        ],
        {"x": ["n", 3, *SIZE]},
        {"y": ["n", 7, 1, 1]},
        {
            "w": convolution.weight.detach().numpy(),
            "b": convolution.bias.detach().numpy(),
        },
    )
    encoder = make_encoder(spec(path, IMAGENET))
    batch = pictures(3, SIZE)
    with torch.inference_mode():
        expected = (
            convolution(normalised(batch, encoder.picture_preprocessing())).mean((2, 3)).numpy()
        )
    ours = embed(encoder, batch)
    assert ours == pytest.approx(expected, abs=1e-5)
    assert ours.dtype == np.float32
    assert encoder.dimension() == ours.shape[1] == 7


@pytest.mark.parametrize(
    ("white", "mean", "std"),
    [
        (1, [0, 0, 0], [1, 1, 1]),
        (1, IMAGENET["mean"], IMAGENET["std"]),
        (255, [127.5, 120, 110], [128, 100, 90]),
    ],
)
def test_mean_and_std_are_in_the_units_of_white(tmp_path, white, mean, std):
    path = echo(tmp_path / "echo.onnx", ["n", 3, *SIZE])
    batch = pictures(2, SIZE)
    encoder = make_encoder(spec(path, {"white": white, "mean": mean, "std": std}))
    mean, std = (np.reshape(values, (3, 1, 1)) for values in (mean, std))
    expected = (batch / 255 * white - mean) / std
    assert seen(encoder, batch) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8])
def test_bytes_reach_the_network_as_they_are(tmp_path, dtype):
    path = echo(tmp_path / "echo.onnx", ["n", 3, *SIZE], dtype)
    batch = pictures(2, SIZE)
    assert np.array_equal(seen(make_encoder(spec(path, {"white": 255})), batch), batch)


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_channels_and_layout_are_the_network_s(tmp_path, channels, layout):
    shape = [3, *SIZE] if layout == "nchw" else [*SIZE, 3]
    path = echo(tmp_path / "echo.onnx", ["n", *shape])
    colours = {"white": 255, "mean": [10, 20, 30]}
    batch = pictures(2, SIZE)
    ours = embed(make_encoder(spec(path, colours, channels=channels, layout=layout)), batch)
    expected = batch - np.reshape([10.0, 20.0, 30.0], (3, 1, 1))
    expected = expected[:, ::-1] if channels == "bgr" else expected
    expected = expected.transpose(0, 2, 3, 1) if layout == "nhwc" else expected
    assert ours == pytest.approx(expected.reshape(2, -1), abs=1e-4)


@pytest.mark.parametrize(
    "outputs",
    [None, ["expression"], ["valence_arousal", "expression"]],
)
def test_outputs_stand_beside_each_other_in_the_given_order(two_heads, outputs):
    encoder = make_encoder(spec(two_heads, outputs=outputs))
    flat = (pictures(3, SIZE) / 255).reshape(3, -1)
    expected = np.hstack([flat @ MATRICES[name] for name in outputs or MATRICES])
    ours = embed(encoder, pictures(3, SIZE))
    assert ours == pytest.approx(expected, abs=1e-4)
    assert encoder.columns() == {n: MATRICES[n].shape[1] for n in outputs or MATRICES}
    assert list(encoder.columns()) == list(outputs or MATRICES)
    assert encoder.dimension() == ours.shape[1]


def test_outputs_are_named_columns_of_one_store(two_heads, make_clip, tmp_path):
    clips = index_files({"c": make_clip()}, progress=False)
    encoder = make_encoder(spec(two_heads, outputs=["valence_arousal", "expression"]))
    sampling = Sampling(frame_rate_hz=2, sample_rate_hz=16000)
    extract(clips, {"heads": encoder}, sampling, tmp_path, cache_root=tmp_path, progress=False)
    assert read_store(tmp_path / "heads").metadata["outputs"] == [
        ["valence_arousal", 2],
        ["expression", 5],
    ]


def test_a_fixed_number_of_pictures_is_the_batch_size(tmp_path):
    path = echo(tmp_path / "echo.onnx", [2, 3, *SIZE])
    encoder = make_encoder(spec(path, {"white": 255}))
    model = encoder.load_model(CPU)
    assert model.batch_size == 2
    assert encoder.columns() == {"y": N_VALUES}
    batch = pictures(1, SIZE)
    assert np.array_equal(model.submit(batch)(), batch.reshape(1, -1))


def test_a_gpu_without_cuda_in_onnx_runtime_leaves_the_work_to_the_cpu(two_heads):
    model = make_encoder(spec(two_heads)).load_model(torch.device("cuda"))
    assert model.batch_size == BATCH_SIZE["cuda"]
    assert model.submit(pictures(1, SIZE))().shape == (1, 7)
    assert not model.runs_beside


def test_a_file_comes_from_the_hub_too(two_heads, put_on_hub):
    put_on_hub(two_heads, "eri/faces", "onnx/heads.onnx")
    encoder = make_encoder(spec("hf://eri/faces/onnx/heads.onnx"))
    assert encoder.weights_digest() == make_encoder(spec(two_heads)).weights_digest()
    assert encoder.model == "heads"
    with pytest.raises(EncoderError, match="cannot be fetched"):
        make_encoder(spec("hf://eri/other/heads.onnx")).weights_digest()


def identity(entry: dict[str, object]) -> str:
    return encoder_identity(make_encoder(entry), Sampling(frame_rate_hz=2, sample_rate_hz=16000))


def test_what_changes_the_numbers_changes_the_identity(two_heads, tmp_path):
    first = identity(spec(two_heads))
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(two_heads.read_bytes())
    assert identity(spec(copy)) == identity(spec(two_heads, model="a name")) == first
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


def test_a_file_that_is_no_network_is_refused(tmp_path):
    path = tmp_path / "rubbish.onnx"
    path.write_bytes(b"no network")
    with pytest.raises(EncoderError, match=r"rubbish\.onnx cannot be opened as an ONNX network"):
        make_encoder(spec(path)).dimension()


def test_weights_beside_the_file_are_refused_wherever_we_are(tmp_path, monkeypatch):
    path = save(
        tmp_path / "outside.onnx",
        [helper.make_node("Add", ["x", "w"], ["y"])],
        {"x": ["n", 3, *SIZE]},
        {"y": ["n", 3, *SIZE]},
        {"w": np.ones((1, 3, *SIZE), np.float32)},
        save_as_external_data=True,
        location="outside.data",
        size_threshold=0,
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EncoderError, match=r"Expected one file.*onnx\.save"):
        make_encoder(spec(path)).dimension()


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


SHAPE = ["n", 3, *SIZE]
MISFITS = {
    "two inputs": (helper.make_node("Add", ["x", "z"], ["y"]), SHAPE),
    "no row per picture": (helper.make_node("ReduceMean", ["x"], ["y"], axes=[0]), [1, 3, *SIZE]),
    "one picture": (helper.make_node("Reshape", ["x", "one"], ["y"]), ["n", N_VALUES]),
}


@pytest.mark.parametrize("what", MISFITS)
def test_a_network_that_cannot_embed_batches_says_what_it_takes_and_gives(tmp_path, what):
    node, shape = MISFITS[what]
    inputs = {name: SHAPE for name in node.input if name in "xz"}
    weights = {"one": np.array([1, N_VALUES])} if "one" in node.input else None
    path = save(tmp_path / "misfit.onnx", [node], inputs, {"y": shape}, weights)
    taken = "'x' .*, 'z' " if "z" in inputs else "'x' "
    with pytest.raises(EncoderError, match=rf"misfit\.onnx cannot .*It takes {taken}.*gives 'y' "):
        embed(make_encoder(spec(path)), pictures(1, SIZE))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outputs": []}, "outputs"),
        ({"outputs": ["a", "a"]}, "named twice"),
        ({"precision": "bf16"}, "precision"),
        ({"preprocessing": {"size_px": [4, 6], "white": 2}}, "white"),
        ({"preprocessing": {"size_px": [4, 6], "std": [1, 0, 1]}}, "std"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        make_encoder(spec("x.onnx") | change)
