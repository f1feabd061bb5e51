"""Pictures, and what the tests of all kinds do with them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from features.encoders import FrameEncoder
from features.encoders.pieces import Preprocessing

CPU = torch.device("cpu")


def pictures(n: int, size_px: tuple[int, int] = (32, 32), seed: int = 0) -> NDArray[np.uint8]:
    shape = (n, 3, *size_px)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def embed(encoder: FrameEncoder, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
    return encoder.load_model(CPU).submit(batch)()


def normalised(batch: NDArray[np.uint8], preprocessing: Preprocessing) -> torch.Tensor:
    mean, std = (
        torch.tensor(values).view(3, 1, 1) for values in (preprocessing.mean, preprocessing.std)
    )
    return (torch.from_numpy(batch).float() / 255 - mean) / std


def close_to(expected: NDArray[np.float32], share: float = 1e-4) -> object:
    """Compare equal to what is off by no more than a share of the largest value."""
    return pytest.approx(expected, abs=share * float(np.abs(expected).max()))


def trained(build: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    """Build a network none of whose weights is what it starts with."""
    torch.manual_seed(7)
    network = build().eval()
    with torch.no_grad():
        for values in network.state_dict().values():
            if values.is_floating_point():
                values.add_(0.1 * torch.rand_like(values))
    return network


def save(state: dict[str, object], path: Path) -> Path:
    """Write a checkpoint, in the format that its ending says."""
    if path.suffix == ".safetensors":
        save_file({key: value.clone() for key, value in state.items()}, path)
    else:
        torch.save(state, path)
    return path
