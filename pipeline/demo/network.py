"""An ONNX file for the demo, in place of a network trained on facial expressions.

It has the outputs that such networks have, and random weights: it knows nothing of expressions.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, ValueInfoProto, helper, numpy_helper

from pipeline.replacing import replace_file

SIZE_PX = 64
"""Height and width of the pictures that it takes: RGB, a white pixel being 1, less the mean 0.5."""

CHANNELS = (3, 16, 32, 64)
"""Of the picture, and after each convolution; the last ones are the output ``embedding``."""

OUTPUTS = {
    "expression": (8, "Softmax"),
    "valence_arousal": (2, "Tanh"),
    "action_units": (12, "Sigmoid"),
}
"""Width and last step of the three outputs after the embedding."""

_STRIDE = 4
_KERNEL = 5
_OPSET = 17
_IR_VERSION = 9


def write_expression_network(path: Path, seed: int) -> None:
    """Write a small convolutional network with random weights; equal seeds give equal bytes.

    Parameters
    ----------
    path : Path
        An ONNX file; folders are made.
    seed : int
        Of the weights.
    """
    rng = np.random.default_rng(seed)
    nodes, weights = [], {}
    value = "picture"
    for depth, (n_in, n_out) in enumerate(pairwise(CHANNELS)):
        weights[f"kernel_{depth}"] = _draw(rng, n_out, n_in, _KERNEL, _KERNEL)
        convolved, value_after = f"convolved_{depth}", f"layer_{depth}"
        strides, pads = [_STRIDE] * 2, [_KERNEL // 2] * 4
        inputs = [value, f"kernel_{depth}"]
        nodes += [
            helper.make_node("Conv", inputs, [convolved], strides=strides, pads=pads),
            helper.make_node("Relu", [convolved], [value_after]),
        ]
        value = value_after
    nodes += [
        helper.make_node("GlobalAveragePool", [value], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["embedding"]),
    ]
    for name, (width, last_step) in OUTPUTS.items():
        weights[f"{name}_weights"] = _draw(rng, width, CHANNELS[-1]).T.copy()
        nodes += [
            helper.make_node("MatMul", ["embedding", f"{name}_weights"], [f"{name}_sums"]),
            helper.make_node(last_step, [f"{name}_sums"], [name]),
        ]
    widths = {"embedding": CHANNELS[-1]} | {name: width for name, (width, _) in OUTPUTS.items()}
    graph = helper.make_graph(
        nodes,
        "random weights, for the demo",
        [_tensor("picture", "n", CHANNELS[0], SIZE_PX, SIZE_PX)],
        [_tensor(name, "n", width) for name, width in widths.items()],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opset = helper.make_opsetid("", _OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = model.SerializeToString(deterministic=True)
    replace_file(path, lambda beside: beside.write_bytes(content))


def _draw(rng: np.random.Generator, n_out: int, *n_in: int) -> NDArray[np.float32]:
    """Draw weights that keep the size of values through a layer with ReLU (He et al. 2015)."""
    spread = float(np.sqrt(2 / np.prod(n_in)))
    return rng.normal(scale=spread, size=(n_out, *n_in)).astype(np.float32)


def _tensor(name: str, *shape: str | int) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
