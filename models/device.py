"""Where matrices are computed: on the GPU when there is one, without loading torch to find out."""

from functools import cache
from pathlib import Path
from typing import Any


@cache
def gpu() -> str | None:
    """Name the GPU's torch device, or return None where there is none."""
    # torch takes seconds to import; only a machine with the driver has to.
    if not Path("/proc/driver/nvidia").exists():
        return None
    import torch

    return "cuda" if torch.cuda.is_available() else None


def put(array: Any, device: str | None) -> Any:
    """Return the array as torch tensor on the device, or as it is for None."""
    if device is None:
        return array
    import torch

    return torch.from_numpy(array).to(device)


def fetch(array: Any) -> Any:
    """Return a NumPy array, wherever the given one lies."""
    return array.cpu().numpy() if hasattr(array, "cpu") else array
