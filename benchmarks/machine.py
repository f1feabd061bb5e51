"""Which machine timings come from."""

import os
import platform
from pathlib import Path

import numpy as np
import torch


def describe() -> str:
    """Return processor, count, platform, GPU and versions in one line."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return (
        f"{names[0] if names else platform.processor()}, {os.cpu_count()} processors, "
        f"{platform.platform()}, {gpu}, Python {platform.python_version()}, "
        f"NumPy {np.__version__}, torch {torch.__version__}"
    )
