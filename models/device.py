"""Where heads are computed: on the GPU when that pays, without loading torch to find out."""

from functools import cache
from pathlib import Path

_START_S = 4.0
"""What importing torch and starting CUDA took on an H100."""
_STEP_S = 2.4e-3
"""What a step of training a small network took there, its short operations one after the other."""
_FLOPS_PER_S = 2e11
"""Multiplications and additions in float32 on two processors."""


def gpu(n_flops: float, n_steps: int = 1) -> str | None:
    """Name the GPU's torch device; None where there is none, or processors are done sooner.

    Parameters
    ----------
    n_flops : float
        Multiplications and additions of the work, roughly.
    n_steps : int
        Into how many parts that wait for each other they fall.
    """
    if n_flops < _FLOPS_PER_S * (_START_S + n_steps * _STEP_S):
        return None
    return _gpu()


@cache
def _gpu() -> str | None:
    # torch takes seconds to import; only a machine with the driver has to.
    if not Path("/proc/driver/nvidia").exists():
        return None
    import torch

    return "cuda" if torch.cuda.is_available() else None
