"""Pictures, and what the tests of all kinds do with them."""

import numpy as np
import torch
from numpy.typing import NDArray

from features.encoders import FrameEncoder
from features.encoders.preprocessing import Preprocessing

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
