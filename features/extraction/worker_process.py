"""A process that can be killed, what is said to it and by it, and the channel between.

`multiprocessing`, and the pools built on it, import the caller's main module into every worker,
which costs seconds and breaks scripts without a main guard; and they copy arrays in small pieces.
These are plain subprocesses, and arrays go over as they lie in memory.
"""

import faulthandler
import os
import pickle
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

START_LIMIT_S = 120
"""Until a new process has its task, with all that the work imports."""

_PAUSE_LIMIT_S = 30
"""Longest pause of a process in the middle of its message."""

_LAST_WORDS_BYTES = 10_000


@dataclass(frozen=True)
class Failure:
    """Why a task came to nothing.

    The `reason` in one line; in `details` the traceback of what was raised, or what a process
    printed that died; the `error` that was raised, if any, unless it does not pickle.
    """

    reason: str
    details: str = ""
    error: Exception | None = None


@dataclass(frozen=True)
class Finished:
    """The last that is heard of a task: what its work returned, or why there is nothing."""

    result: Any = None
    failure: Failure | None = None


@dataclass(frozen=True)
class Patience:
    """What work yields before something long: the next silence may last so much longer."""

    extra_s: float


class WorkerProcess:
    """A process that does one task after the other, each sent to it as ``(work, task, folder)``.

    The folder is that of the caller: there are relative paths in tasks. What is heard of each on
    `channel`, by `receive`, is `Patience` when it begins, then 1-tuples with its parts, or more
    `Patience`, and at its end `Finished`. The niceness is added to that of this process.
    """

    def __init__(self, niceness: int) -> None:
        self.channel, theirs = socket.socketpair()
        # Not the socket's own limit in Python, with which it would read in small pieces.
        limits_s = {socket.SO_RCVTIMEO: _PAUSE_LIMIT_S, socket.SO_SNDTIMEO: START_LIMIT_S}
        for option, limit_s in limits_s.items():
            self.channel.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", limit_s, 0))
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `end`
        code = f"from {__name__} import serve; serve({theirs.fileno()}, {niceness})"
        paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        self._process = subprocess.Popen(
            # -P: no file of the working folder stands in for a library, unless it does here too
            [sys.executable, "-P", "-c", code],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self._printed,  # the parent's may carry JSON
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": paths},
        )
        theirs.close()

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def end(self) -> Failure:
        """Kill it, if it has not ended by itself; return how it ended, with its last words."""
        self._process.kill()
        self.channel.close()
        code = self._process.wait()
        how = f"exit code {code}" if code >= 0 else f"signal {-code}, {signal.strsignal(-code)}"
        if code == -signal.SIGKILL:
            how += ", often for lack of memory"
        with self._printed as printed:
            printed.seek(max(printed.seek(0, os.SEEK_END) - _LAST_WORDS_BYTES, 0))
            last_words = printed.read().decode(errors="replace")
        return Failure(f"the worker process died ({how})", last_words)


def send(channel: socket.socket, message: object) -> None:
    """Send anything that pickles; contiguous arrays go as they lie in memory.

    An OSError when the other end is closed, or does not listen within the socket's limit.
    """
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    parts = [memoryview(pickled), *(buffer.raw() for buffer in buffers)]
    sizes = [part.nbytes for part in parts]
    channel.sendall(struct.pack(f"!{len(parts) + 1}Q", len(parts), *sizes))
    for part in parts:
        channel.sendall(part)


def receive(channel: socket.socket) -> Any:
    """Wait for a message; arrays in it may be written to.

    An EOFError when the other end was closed, be it in the middle of a message; an OSError when it
    went away with messages unread, or paused too long.
    """
    (n_parts,) = struct.unpack("!Q", _read(channel, 8))
    sizes = struct.unpack(f"!{n_parts}Q", _read(channel, 8 * n_parts))
    pickled, *buffers = [_read(channel, size) for size in sizes]
    return pickle.loads(pickled, buffers=buffers)


def serve(descriptor: int, niceness: int) -> None:
    """Be a worker process: do the tasks that come through a channel, until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    os.nice(niceness)
    faulthandler.enable()
    threading.Thread(target=_end_with_parent, args=[descriptor], daemon=True).start()
    parent = socket.socket(fileno=descriptor)
    with suppress(ConnectionError):
        while True:
            try:
                work, task, folder = receive(parent)
                os.chdir(folder)
                send(parent, Patience(0))
                send(parent, Finished(_do(work, task, parent)))
            except Exception as error:  # also one of a task, or a result, that does not pickle
                send(parent, Finished(failure=_failure(error)))


def _read(channel: socket.socket, n_bytes: int) -> memoryview:
    data = np.empty(n_bytes, np.uint8).data  # memory that nobody fills with zeros first
    rest = data
    while rest:
        n_read = channel.recv_into(rest, 0, socket.MSG_WAITALL)  # one call for all of it
        if n_read == 0:
            raise EOFError("the other end of the channel was closed")
        rest = rest[n_read:]
    return data


def _end_with_parent(descriptor: int) -> None:
    """End, also in the middle of work that never returns, when the channel's other end closes."""
    poll = select.poll()
    poll.register(descriptor, 0)  # a closed end is always reported
    poll.poll()
    os._exit(1)


def _do(work: Callable[[Any], Any], task: Any, parent: socket.socket) -> Any:
    """Do a task, send its parts, and return its result."""
    made = work(task)
    while isinstance(made, Generator):
        try:
            part = next(made)
        except StopIteration as end:
            return end.value
        send(parent, part if isinstance(part, Patience) else (part,))
    return made


def _failure(error: Exception) -> Failure:
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever keeps it from being sent: its words and traceback go instead
        return Failure(reason, traceback.format_exc())
    return Failure(reason, traceback.format_exc(), error)
