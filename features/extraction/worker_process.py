"""One worker process: what runs in it, and the parent's handle on it.

`multiprocessing` and pools built on it import the caller's main module into every worker, which
costs seconds and breaks scripts without a main guard; these are plain subprocesses.
"""

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.encoders.base import EncoderError
from features.extraction.channel import Channel
from features.media.files import MediaError

_PAUSE_LIMIT_S = 30.0  # in the middle of a message
_NICENESS = 19  # an encoder on the same processors must never wait for one


@dataclass(frozen=True)
class Order:
    """What a worker is to do: `work(task)`; `step` is named when that fails unforeseen."""

    work: Callable[[Any], Iterator[Any]]
    step: str
    task: Any


@dataclass(frozen=True)
class Finished:
    """No further part of a task follows; with the error when it failed."""

    error: MediaError | None = None


@dataclass(frozen=True)
class Patience:
    """A part that is not handed on: the next silence may be so much longer than the limit."""

    extra_s: float


class WorkerProcess:
    """A started process that takes one order after the other.

    Attributes
    ----------
    channel : Channel
        What the worker says: a string when it is up, 1-tuples with parts of its task or `Patience`,
        and `Finished` or an `EncoderError` at its end.
    """

    def __init__(self) -> None:
        self.channel, theirs = Channel.pair()
        self.channel.limit_pauses(_PAUSE_LIMIT_S)
        code = f"from features.extraction.worker_process import serve; serve({theirs.fileno()})"
        paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        with theirs:
            self._process = subprocess.Popen(
                # -P: no file of the working folder stands in for a library, unless it does here too
                [sys.executable, "-P", "-c", code],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # the parent's may carry JSON
                env=os.environ | {"PYTHONPATH": paths},
            )

    def send(self, order: Order) -> None:
        """Give it something to do."""
        with suppress(ConnectionError):  # dead already: found when it is listened to
            self.channel.send(order)

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def kill(self) -> int:
        """End it at once, and return its exit code."""
        self._process.kill()
        self.channel.close()
        return self._process.wait()


def serve(descriptor: int) -> None:
    """Be a worker: take orders from the pipe and send what comes of them, until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    os.nice(_NICENESS)
    threading.Thread(target=_end_with_parent, args=[descriptor], daemon=True).start()
    with suppress(EOFError, ConnectionError), Channel.of_descriptor(descriptor) as parent:
        parent.send("ready")
        while True:
            for message in _messages(parent.recv()):
                parent.send(message)


def _end_with_parent(descriptor: int) -> None:
    """End, also in the middle of a decoder that never returns, when the pipe's other end closes."""
    pipe = select.poll()
    pipe.register(descriptor, 0)  # a closed end is always reported
    pipe.poll()
    os._exit(1)


def _messages(order: Order) -> Iterator[Any]:
    """Parts as 1-tuples, so that they differ from the messages of the protocol."""
    try:
        for part in order.work(order.task):
            yield part if isinstance(part, Patience) else (part,)
    except EncoderError as error:
        yield error  # no fault of the clip: every other clip would fail as well
    except MediaError as error:
        yield Finished(error)
    except Exception as error:  # a decoder met what nobody foresaw: this clip's fault alone
        yield Finished(MediaError(order.step, f"{type(error).__name__}: {error}"))
    else:
        yield Finished()
