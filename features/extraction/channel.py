"""A two-way channel between two processes, for messages that carry large arrays.

`multiprocessing.connection` copies arrays into a pickle and reads it in small pieces, each into an
allocation of the whole rest: several times slower (``python -m benchmarks.channel``).
"""

import pickle
import socket
import struct
from typing import Any, Self

import numpy as np

_COUNT = struct.Struct("!Q")


class Channel:
    """One end of it; close it, or use it as a context manager.

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

    @classmethod
    def of_descriptor(cls, descriptor: int) -> Self:
        """Take over an inherited end."""
        return cls(socket.socket(fileno=descriptor))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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
        """Return the descriptor, to wait for messages with others."""
        return self._socket.fileno()

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
