"""Fits in a process that can be killed: a head that hangs or crashes costs itself and no other."""

import faulthandler
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pipeline.clip_table import Rows
from pipeline.fits.jobs import View

if TYPE_CHECKING:
    from pipeline.fits.fitting import Fitter

_PREPARE_LIMIT_S = 600.0
"""Longest time for starting Python, and for loading and pooling a view."""

_DYING_S = 5.0
_LOADED = "loaded"


class FailedFitError(Exception):
    """A head gave no result.

    Attributes
    ----------
    details : str
        Traceback, or the last words of a process that died; may be empty.
    """

    def __init__(self, reason: str, details: str = "") -> None:
        super().__init__(reason, details)
        self.details = details

    def __str__(self) -> str:
        return str(self.args[0])


class FitProcess:
    """A process that fits one head after the other, started when it is first needed.

    One at a time, so that a head has all processors to itself. The view last used stays loaded
    there. After a kill or a crash the next call starts a new process. Use it as a context manager:
    it leaves no process behind.

    Parameters
    ----------
    rows : Rows
        What is fitted on.
    time_limit_s : float
        Longest time for one call, without loading the view.
    """

    def __init__(self, rows: Rows, time_limit_s: float) -> None:
        self._rows = rows
        self._time_limit_s = time_limit_s
        self._running: _Running | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def call(self, method: str, view: View, *arguments: Any) -> Any:
        """Call a method of `pipeline.fits.fitting.Fitter` on a view.

        Raises
        ------
        FailedFitError
            When the method raised an error or took too long, or its process died.
        """
        try:
            answer = self._call((method, view, arguments))
        except BaseException:  # Ctrl-C too: it would go on with what nobody waits for
            self._stop()
            raise
        if isinstance(answer, FailedFitError):
            raise answer
        return answer

    def start(self) -> None:
        """Start the process now, not with the first call."""
        if self._running is None:
            self._running = _Running()

    def _call(self, call: tuple[str, View, tuple[Any, ...]]) -> Any:
        self.start()
        running = self._running
        assert running is not None  # just started
        if not running.has_rows:
            running.tell(self._rows)
            running.has_rows = True
        running.tell(call)
        answer = running.answer(_PREPARE_LIMIT_S, "the view was not loaded")
        if answer == _LOADED:
            answer = running.answer(self._time_limit_s, "no result")
        return answer

    def _stop(self) -> None:
        if self._running is not None:
            self._running.kill()
            self._running = None


class _Running:
    """The process, the pipe to it, and what it printed."""

    def __init__(self) -> None:
        self.has_rows = False
        self._connection, theirs = Pipe()
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 (closed by kill)
        code = f"from pipeline.fit_process import serve; serve({theirs.fileno()})"
        paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._printed,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONPATH": paths},
            )

    def tell(self, message: object) -> None:
        try:
            self._connection.send(message)
        except ConnectionError:
            raise self._died() from None

    def answer(self, limit_s: float, late: str) -> Any:
        try:
            if self._connection.poll(limit_s):
                return self._connection.recv()
        except (EOFError, ConnectionError):
            raise self._died() from None
        raise FailedFitError(f"stopped: {late} within {limit_s:g} s")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._connection.close()
        self._printed.close()

    def _died(self) -> FailedFitError:
        with suppress(subprocess.TimeoutExpired):  # its pipe ends a moment before it does
            self._process.wait(_DYING_S)
        code = self._process.poll()
        reason = f"its process ended with exit code {code}"
        if code is not None and code < 0:
            reason = f"its process was ended by signal {-code} ({signal.strsignal(-code)})"
        if code == -signal.SIGKILL:
            reason += ", often for lack of memory"
        self._printed.seek(0)
        return FailedFitError(reason, self._printed.read().decode(errors="replace")[-10_000:])


def serve(descriptor: int) -> None:
    """Be the process: take rows, then calls, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    faulthandler.enable()
    with Connection(descriptor) as parent:
        messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=_listen, args=(parent, messages), daemon=True).start()
        from pipeline.fits.fitting import Fitter  # meanwhile the parent sends the rows

        fitter = Fitter(messages.get())
        while True:
            for answer in _answers(fitter, messages.get()):
                parent.send(answer)


def _listen(parent: Connection, messages: "queue.SimpleQueue[Any]") -> None:
    while True:
        try:
            messages.put(parent.recv())
        except (EOFError, ConnectionError):
            os._exit(1)  # in the midst of a fit: nobody waits for it
        except Exception as error:  # a head whose module cannot be imported here
            messages.put(_failure(error))


def _answers(fitter: "Fitter", message: Any) -> Iterator[Any]:
    if isinstance(message, FailedFitError):
        yield message
        return
    method, view, arguments = message
    try:
        fitter.load(view)
        yield _LOADED
        yield getattr(fitter, method)(view, *arguments)
    except Exception as error:
        yield _failure(error)


def _failure(error: Exception) -> FailedFitError:
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return FailedFitError(reason, traceback.format_exc())
