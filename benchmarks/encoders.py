"""Pictures per second of encoders by precision, and what the lower precision costs.

``python -m benchmarks.encoders [--fast]``

Run it before choosing ``precision`` in ``params.yaml``: bf16 is the faster one on GPUs and on
processors with AVX-512 bf16 or AMX, and several times slower elsewhere.
"""

import time
from typing import Annotated

import numpy as np
import typer

from benchmarks.machine import describe
from features.encoders import FrameEncoder, make_encoder
from features.engine import default_device

SPECS = {
    "resnet50": {"kind": "torchvision", "model": "resnet50", "weights": "random"},
    "clip ViT-B-32": {"kind": "open_clip", "model": "ViT-B-32", "weights": "random"},
    "dinov2 ViT-S-14": {
        "kind": "timm",
        "model": "vit_small_patch14_reg4_dinov2",
        "weights": "random",
    },
}


def main(fast: Annotated[bool, typer.Option(help="Two batches each.")] = False) -> None:
    """Print one table row per encoder and precision."""
    print(describe())
    print("\n| encoder | precision | pictures/s | ratio to fp32 | least correlation with fp32 |")
    print("|---" * 5 + "|")
    for name, spec in SPECS.items():
        rates, rows = {}, {}
        for precision in ("fp32", "bf16"):
            encoder = make_encoder(spec | {"precision": precision})
            assert isinstance(encoder, FrameEncoder)
            rates[precision], rows[precision] = measure(encoder, 2 if fast else 6)
            pairs = zip(rows["fp32"], rows[precision], strict=True)
            least = min(np.corrcoef(a, b)[0, 1] for a, b in pairs)
            ratio = rates[precision] / rates["fp32"]
            print(
                f"| {name} | {precision} | {rates[precision]:.1f} | {ratio:.2f} | {least:.5f} |",
                flush=True,
            )


def measure(encoder: FrameEncoder, n_batches: int) -> tuple[float, np.ndarray]:
    """Return pictures per second, and embeddings of noise."""
    model = encoder.load_model(default_device())
    shape = (model.batch_size, 3, *encoder.preprocessing.geometry.size_px)
    pictures = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    rows = model.submit(pictures)()
    began_s = time.perf_counter()
    waits = [model.submit(pictures) for _ in range(n_batches)]
    for wait in waits:
        wait()
    return n_batches * model.batch_size / (time.perf_counter() - began_s), rows


if __name__ == "__main__":
    typer.run(main)
