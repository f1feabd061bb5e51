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
from typing import Any, Self

import numpy as np

_PAUSE_LIMIT_S = 30.0  # in the middle of a message
_LAST_WORDS_BYTES = 10_000
_COUNT = struct.Struct("!Q")


@dataclass(frozen=True)
class Failure:
    """Why a task came to nothing.

    Attributes
    ----------
    reason : str
        In one line.
    details : str
        The traceback of what was raised, or what a process printed that died; may be empty.
    error : Exception or None
        What was raised, unless it does not pickle; None where nothing was.
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


class Channel:
    """One end of a two-way connection, for messages that carry large arrays.

    Parameters
    ----------
    end : socket
        A connected stream socket, which the channel owns from then on.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    @classmethod
    def pair(cls) -> tuple[Self, Self]:
        """Make two connected ends."""
        ours, theirs = socket.socketpair()
        return cls(ours), cls(theirs)

    def limit_pauses(self, limit_s: float) -> None:
        """Let `recv` raise OSError when the other end pauses so long, as one that is stopped does.

        A socket's own limit in Python would read in small pieces.
        """
        seconds = int(limit_s)
        limit = struct.pack("@ll", seconds, round((limit_s - seconds) * 1e6))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)

    def close(self) -> None:
        """Close this end; the other one then finds the channel at its end."""
        self._socket.close()

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._socket.fileno()

    def wait(self, limit_s: float) -> bool:
        """Wait for a message, or the end of the channel; False when none came in time."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(1000 * limit_s))

    def send(self, message: object) -> None:
        """Send anything that pickles; contiguous arrays go as they lie in memory.

        Raises
        ------
        OSError
            When the other end is closed.
        """
        buffers: list[pickle.PickleBuffer] = []
        pickled = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
        parts = [memoryview(pickled), *(buffer.raw() for buffer in buffers)]
        sizes = [_COUNT.pack(part.nbytes) for part in parts]
        self._socket.sendall(b"".join([_COUNT.pack(len(parts)), *sizes]))
        for part in parts:
            self._socket.sendall(part)

    def recv(self) -> Any:
        """Wait for a message; arrays in it may be written to.

        Raises
        ------
        EOFError
            When the other end was closed, be it in the middle of a message.
        OSError
            When the other end went away with messages unread, or paused too long.
        """
        (n_parts,) = _COUNT.unpack(self._read(_COUNT.size))
        sizes = struct.unpack(f"!{n_parts}Q", self._read(n_parts * _COUNT.size))
        pickled, *buffers = [self._read(size) for size in sizes]
        return pickle.loads(pickled, buffers=buffers)

    def _read(self, n_bytes: int) -> memoryview:
        data = np.empty(n_bytes, np.uint8).data  # memory that nobody fills with zeros first
        rest = data
        while rest:
            # WAITALL: one call for all of it, during which other threads run.
            n_read = self._socket.recv_into(rest, 0, socket.MSG_WAITALL)
            if n_read == 0:
                raise EOFError("the other end of the channel was closed")
            rest = rest[n_read:]
        return data


class WorkerProcess:
    """A started process that does one task after the other, each sent as ``(work, task)``.

    Parameters
    ----------
    niceness : int
        Added to that of this process: 19 never makes anything else on the processors wait.

    Attributes
    ----------
    channel : Channel
        What the process says: a word when it has started, then for each task 1-tuples with its
        parts or `Patience`, and `Finished` at its end.
    has_started : bool
        Whether that word was heard; for whoever listens to keep.
    """

    def __init__(self, niceness: int) -> None:
        self.has_started = False
        self.channel, theirs = Channel.pair()
        self.channel.limit_pauses(_PAUSE_LIMIT_S)
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `end`
        module = "features.extraction.worker_process"
        code = f"from {module} import serve; serve({theirs.fileno()}, {niceness})"
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
        how = f"exit code {code}"
        if code < 0:
            how = f"signal {-code}, {signal.strsignal(-code)}"
        if code == -signal.SIGKILL:
            how += ", often for lack of memory"
        with self._printed as printed:
            length = printed.seek(0, os.SEEK_END)
            printed.seek(max(length - _LAST_WORDS_BYTES, 0))
            last_words = printed.read().decode(errors="replace")
        return Failure(f"the worker process died ({how})", last_words)


def serve(descriptor: int, niceness: int) -> None:
    """Be a worker process: do the tasks that come through a channel, until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    os.nice(niceness)
    faulthandler.enable()
    threading.Thread(target=_end_with_parent, args=[descriptor], daemon=True).start()
    parent = Channel(socket.socket(fileno=descriptor))
    with suppress(ConnectionError):
        parent.send("ready")
        while True:
            try:
                work, task = parent.recv()
                parent.send(Finished(_do(work, task, parent)))
            except Exception as error:  # also one of a task, or a result, that does not pickle
                parent.send(Finished(failure=_failure(error)))


def _end_with_parent(descriptor: int) -> None:
    """End, also in the middle of work that never returns, when the channel's other end closes."""
    poll = select.poll()
    poll.register(descriptor, 0)  # a closed end is always reported
    poll.poll()
    os._exit(1)


def _do(work: Callable[[Any], Any], task: Any, parent: Channel) -> Any:
    """Do a task, send its parts, and return its result."""
    made = work(task)
    if not isinstance(made, Generator):
        return made
    while True:
        try:
            part = next(made)
        except StopIteration as end:
            return end.value
        parent.send(part if isinstance(part, Patience) else (part,))


def _failure(error: Exception) -> Failure:
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever keeps it from being sent: its words and traceback go instead
        return Failure(reason, traceback.format_exc())
    return Failure(reason, traceback.format_exc(), error)
