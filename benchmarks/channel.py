"""How fast one process hands pictures to another: our channel against multiprocessing's pipe.

``python -m benchmarks.channel [--fast]``

One thread receives what all decode workers send, so its rate bounds that of extraction on machines
with many processors and a GPU.
"""

import os
import socket
import time
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.machine import describe
from features.extraction.worker_process import receive, send

PICTURES = np.random.default_rng(0).integers(0, 256, (32, 3, 224, 224), dtype=np.uint8)
N_PARTS = 100
N_ROUNDS = 5


def main(fast: Annotated[bool, typer.Option(help="Once over.")] = False) -> None:
    """Print one table row per way."""
    print(describe())
    ways: dict[str, tuple[Callable[..., Any], ...]] = {
        "multiprocessing.Pipe": (Pipe, Connection.send, Connection.recv),
        "our channel": (socket.socketpair, send, receive),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(1 if fast else N_ROUNDS):  # in turn
        for way, functions in ways.items():
            seconds[way].append(receive_s(*functions))
    print("\n| way | pictures/s | MB/s | ratio |\n|---|---|---|---|")
    slowest_s = max(float(np.median(each)) for each in seconds.values())
    for way, each in seconds.items():
        part_s = float(np.median(each))
        rates = f"{len(PICTURES) / part_s:.0f} | {PICTURES.nbytes / part_s / 1e6:.0f}"
        print(f"| {way} | {rates} | {slowest_s / part_s:.1f} |")


def receive_s(
    pair: Callable[[], tuple[Any, Any]],
    send_to: Callable[[Any, object], None],
    receive_from: Callable[[Any], Any],
) -> float:
    """Return the seconds that a part takes from a child process to this one."""
    ours, theirs = pair()
    child = os.fork()
    if child == 0:
        for _ in range(N_PARTS + 1):
            send_to(theirs, PICTURES)
        os._exit(0)
    theirs.close()
    receive_from(ours)  # the child is up
    began_s = time.perf_counter()
    for _ in range(N_PARTS):
        receive_from(ours)
    ended_s = time.perf_counter()
    os.waitpid(child, 0)
    ours.close()
    return (ended_s - began_s) / N_PARTS


if __name__ == "__main__":
    typer.run(main)
