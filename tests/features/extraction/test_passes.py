import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from features.encoders import make_encoder
from features.encoders.onnx_model import OnnxFrameModel
from features.extraction.extract import extract
from features.extraction.index import index_files
from features.identity import Sampling
from features.store import read_store
from features.upkeep import seed_cache

SAMPLING = Sampling(frame_rate_hz=5, sample_rate_hz=16000)
WIDTHS = {"expression": 5, "va": 2}


def write_network(path: Path) -> None:
    """Two linear heads over all values of the picture."""
    rng = np.random.default_rng(0)
    weights = {
        f"w_{name}": rng.normal(size=(3 * 16 * 16, width)).astype(np.float32)
        for name, width in WIDTHS.items()
    }
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["x"], ["flat"]),
            *(helper.make_node("MatMul", ["flat", f"w_{name}"], [name]) for name in WIDTHS),
        ],
        "heads",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 16, 16])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width])
            for name, width in WIDTHS.items()
        ],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_outputs_of_one_network_share_its_forward_pass(make_clip, tmp_path, monkeypatch):
    write_network(tmp_path / "n.onnx")
    clips = index_files(
        {f"c{k}": make_clip(f"c{k}.mp4", n_frames=10 + k) for k in range(3)}, progress=False
    )

    def run(clips, encoders, out: str):
        return extract(
            clips,
            encoders,
            SAMPLING,
            tmp_path / out,
            cache_root=tmp_path / "cache",
            progress=False,
        )

    base = {"kind": "onnx", "weights": str(tmp_path / "n.onnx")}
    base["preprocessing"] = {"size_px": [16, 16], "mode": "squash"}

    def output(*names: str, **more: object):
        return make_encoder(base | ({"outputs": names} if names else {}) | more)

    encoders = {
        "va": output("va"),
        "both": output("expression", "va", dtype="float32"),
        "all": output(),
        "again": output("va"),
        "bgr": output("va", channels="bgr"),
    }
    alone = {}
    for name, each in encoders.items():
        run(clips, {name: each}, f"alone-{name}")
        alone[name] = bytes_of(tmp_path / f"alone-{name}" / name)
    shutil.rmtree(tmp_path / "cache")
    passes = []
    submit = OnnxFrameModel.submit
    monkeypatch.setattr(
        OnnxFrameModel, "submit", lambda *args: passes.append(args[0]) or submit(*args)
    )
    run(clips[:1], {"va": encoders["va"]}, "out")
    passes.clear()
    report = run(clips, encoders, "out")
    assert len(set(map(id, passes))) == 2  # networks: that of bgr is another one
    assert report.n_computed["both"] == len(clips)
    for name in encoders:
        assert bytes_of(tmp_path / "out" / name) == alone[name]


def test_a_cached_run_opens_no_network_and_its_store_says_what_is_where(
    make_clip, tmp_path, monkeypatch
):
    write_network(tmp_path / "n.onnx")
    clips = index_files({"c": make_clip()}, progress=False)
    spec = {
        "kind": "onnx",
        "weights": str(tmp_path / "n.onnx"),
        "preprocessing": {"size_px": [16, 16]},
        "outputs": ["va", "expression"],
    }
    cache = tmp_path / "cache"

    def run(out: str) -> dict[str, object]:
        encoders = {"heads": make_encoder(spec)}
        extract(clips, encoders, SAMPLING, tmp_path / out, cache_root=cache, progress=False)
        return read_store(tmp_path / out / "heads").metadata

    first = run("first")
    assert first["outputs"] == [["va", 2], ["expression", 5]]
    monkeypatch.setattr(OnnxFrameModel, "__init__", None)
    assert run("again") == first
    shutil.rmtree(cache)
    seed_cache(tmp_path / "first" / "heads", cache)
    assert run("seeded") == first
