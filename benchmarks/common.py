"""What the scripts share: the machine, how long a call takes, its memory, names they are given."""

import os
import platform
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
import psutil
import torch
import typer

ROOT = Path(__file__).parents[1]

P = ParamSpec("P")
T = TypeVar("T")


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


def timed(work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> tuple[float, T]:
    """Return the seconds that a call took, and its result."""
    began_s = time.perf_counter()
    result = work(*arguments, **options)
    return time.perf_counter() - began_s, result


def peak_mib(work: Callable[[], T]) -> tuple[float, T]:
    """Return by how much a call raised this process's memory at its peak, and its result; Linux."""
    before = psutil.Process().memory_info().rss
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    result = work()
    status = Path("/proc/self/status").read_text()
    peak_kib = int(status.partition("VmHWM:")[2].split()[0])
    return (peak_kib - before / 2**10) / 2**10, result


def tree_mib(process: psutil.Process) -> float:
    """Return the memory of a process and all below it."""
    tree = [process, *process.children(recursive=True)]
    return float(sum(each.memory_info().rss for each in tree)) / 2**20


def known_names(text: str, known: Collection[str]) -> list[str]:
    """Split names at commas; one that is not known is a `typer.BadParameter`."""
    names = text.split(",")
    if unknown := [name for name in names if name not in known]:
        raise typer.BadParameter(f"unknown: {unknown}; expected some of {','.join(known)}")
    return names
