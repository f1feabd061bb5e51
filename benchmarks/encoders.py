"""Pictures per second of encoders by precision, and what the lower precision costs.

``python -m benchmarks.encoders [--fast] [--encoders resnet50,clip-l-14]``

- resident: the network alone, over normalised pictures that lie on its device
- fed: from uint8 pictures in the memory of the machine to embeddings there, as extraction does it,
  with parts of 32 pictures as decode workers send them

Run it before choosing ``precision`` in ``params.yaml``: bf16 is the faster one on GPUs and on
processors with AVX-512 bf16 or AMX, and several times slower elsewhere.
"""

from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from benchmarks.common import describe, known_names, timed
from features.encoders import FrameEncoder, make_encoder
from features.encoders.torch_model import TorchModel, default_device, run
from features.extraction.batches import Batcher

SPECS = {
    "resnet50": {"kind": "torchvision", "model": "resnet50", "weights": "random"},
    "clip-b-32": {"kind": "open_clip", "model": "ViT-B-32", "weights": "random"},
    "clip-l-14": {"kind": "open_clip", "model": "ViT-L-14", "weights": "random"},
    "dinov2-s-14": {"kind": "timm", "model": "vit_small_patch14_reg4_dinov2", "weights": "random"},
}
PICTURES_PER_PART = 32
MEASURED_S = 1.0
N_ROUNDS = 5


def main(
    fast: Annotated[bool, typer.Option(help="Two batches each, once over.")] = False,
    encoders: Annotated[
        str, typer.Option(help=f"Names, joined by commas, of {', '.join(SPECS)}.")
    ] = "resnet50,clip-b-32,dinov2-s-14",
) -> None:
    """Print one table row per encoder and precision."""
    chosen = known_names(encoders, SPECS)
    print(describe())
    print(
        "\n| encoder | precision | resident pictures/s | fed pictures/s | fed / resident | "
        "ratio to fp32 | least correlation with fp32 |"
    )
    print("|---" * 7 + "|")
    for name in chosen:
        fed, rows = {}, {}
        for precision in ("fp32", "bf16"):
            encoder = make_encoder(SPECS[name] | {"precision": precision})
            assert isinstance(encoder, FrameEncoder)
            resident, fed[precision], rows[precision] = measure(encoder, fast=fast)
            pairs = zip(rows["fp32"], rows[precision], strict=True)
            least = min(np.corrcoef(a, b)[0, 1] for a, b in pairs)
            print(
                f"| {name} | {precision} | {resident:.1f} | {fed[precision]:.1f} | "
                f"{fed[precision] / resident:.2f} | {fed[precision] / fed['fp32']:.2f} | "
                f"{least:.5f} |",
                flush=True,
            )


def measure(encoder: FrameEncoder, *, fast: bool) -> tuple[float, float, NDArray[np.float32]]:
    """Return pictures per second, resident and fed, and embeddings of noise.

    The two are timed in turn, and their medians count.
    """
    model = encoder.load_model(default_device())
    assert isinstance(model, TorchModel)
    shape = (model.batch_size, 3, *encoder.picture_preprocessing().geometry.size_px)
    pictures = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    rows = model.submit(pictures)()
    run_resident(model, shape, 1)
    batch_s, _ = timed(lambda: run_resident(model, shape, 1))
    n_batches = 2 if fast else max(2, round(MEASURED_S / batch_s))
    rates = []
    for _ in range(1 if fast else N_ROUNDS):
        resident_s, _ = timed(lambda: run_resident(model, shape, n_batches))
        fed_s, _ = timed(lambda: feed(model, pictures, n_batches))
        rates.append((n_batches * len(pictures) / resident_s, n_batches * len(pictures) / fed_s))
    resident, fed = np.median(rates, axis=0)
    return resident, fed, rows


@torch.inference_mode()
def run_resident(model: TorchModel, shape: tuple[int, ...], n_batches: int) -> None:
    """Run the network over one batch that stays where it is."""
    weight = next(model.network.parameters())
    values = torch.randn(shape, device=weight.device, dtype=weight.dtype)
    values = values.contiguous(memory_format=torch.channels_last)
    for _ in range(n_batches):
        run(model.embed, values)
    if model.runs_beside:
        torch.cuda.synchronize()


def feed(model: TorchModel, pictures: NDArray[np.uint8], n_batches: int) -> None:
    """Embed pictures as a clip of `n_batches` batches."""
    batcher = Batcher(model, lambda *_: None)
    for _ in range(n_batches):
        for start in range(0, len(pictures), PICTURES_PER_PART):
            part = pictures[start : start + PICTURES_PER_PART]
            batcher.add("clip", np.zeros(len(part)), part)
    batcher.end("clip")
    batcher.flush()


if __name__ == "__main__":
    typer.run(main)
