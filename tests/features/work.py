"""Work for worker processes, which import it by name."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from features.errors import EncoderError, MediaError
from features.extraction import worker_process
from features.extraction.reading import ClipToRead, read_clip
from features.extraction.worker_process import Patience
from features.media.files import probe
from features.media.frames import read_frames
from tests.features.odd_media import GRID_HZ, read_sound


def act(steps: tuple[tuple[Any, ...], ...]) -> Iterator[Any]:
    """Call functions with their arguments, one after the other, and yield what comes of each."""
    for function, *arguments in steps:
        yield function(*arguments)


def stop_in_a_message(_task: int) -> Iterator[None]:
    worker_process.send = _send_a_length_and_stop
    yield None


def _send_a_length_and_stop(channel: socket.socket, _message: object) -> None:
    os.write(channel.fileno(), bytes(4))
    os.kill(os.getpid(), signal.SIGSTOP)


def wait_for(mark: Path) -> None:
    while not mark.exists():
        time.sleep(0.05)
    time.sleep(1)  # the parent's signal was sent before the file was made


def raise_odd_error(_task: int) -> None:
    class OddError(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(f"{one} and {two}")

    raise OddError(1, 2)


@lru_cache
def _loaded() -> list[int]:
    time.sleep(3)  # longer than the limit of those who call
    return []


def load_and_add(task: int) -> Iterator[Any]:
    yield Patience(60)
    calls = _loaded()
    yield "loaded"
    calls.append(task)
    return calls


def decode(path: Path) -> Iterator[dict[str, Any]]:
    """Read all of a file in a worker, and tell what came of it and what it took."""
    found: dict[str, Any] = {"errors": []}
    began_s = time.process_time()
    for work in (
        lambda: probe(path),
        lambda: found.update(n_pictures=sum(1 for _ in read_frames(path, GRID_HZ))),
        lambda: found.update(sound_s=len(read_sound(path, 16000)) / 16000),
    ):
        try:
            work()
        except MediaError as error:
            found["errors"].append((error.step, error.reason))
    duration_s = time.process_time() - began_s
    yield found | {"peak_bytes": peak_memory_bytes(), "processor_s": duration_s}


def peak_memory_bytes() -> int | None:
    """Highest memory of this process so far; None where the system does not tell.

    What `resource` says begins with the memory of the process that started this one.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024


def read_and_die(clip: ClipToRead) -> Iterator[Any]:
    """Hand over all of a clip, and die before saying that it is all."""
    yield from read_clip(clip)
    os._exit(1)


class Doubler:
    """Doubles numbers, dies of 13, and raises an error of 14."""

    def __init__(self, n_processors: int) -> None:
        self.n_processors = n_processors

    def __call__(self, numbers: list[int]) -> list[int]:
        if 13 in numbers:
            os._exit(1)
        if 14 in numbers:
            raise EncoderError("of 14 nothing can be made")
        return [2 * number for number in numbers]

    def close(self) -> None:
        pass


def die_at_start(_n_processors: int) -> None:
    os._exit(1)
