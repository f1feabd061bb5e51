"""Work on clips in processes that can be killed: one clip must never stop a run.

A worker streams what it makes of its task to the parent in parts, so that neither side ever holds a
whole clip. One thread of the parent listens to all workers, hands out tasks, and replaces workers
that are stuck or dead; a bounded queue between it and the caller holds the workers back when the
caller is slower. `multiprocessing` and pools built on it import the caller's main module into every
worker, which costs seconds and breaks scripts without a main guard; these are plain subprocesses.
"""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Generic, TypeVar

from features.encoders.base import EncoderError
from features.media import MediaError

Task = TypeVar("Task")
Part = TypeVar("Part")

_START_LIMIT_S = 120.0
_NICENESS = 19  # an encoder on the same processors must never wait for one
_MAX_ATTEMPTS = 2


@dataclass(frozen=True)
class Finished:
    """No further part of a task follows; with the error when it failed."""

    error: MediaError | None = None


@dataclass(frozen=True)
class Restarted:
    """The worker died: the task is tried once more, and the parts so far are void."""


def n_processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_isolated(
    work: Callable[[Task], Iterator[Part]],
    tasks: Iterable[Task],
    *,
    n_workers: int,
    stall_limit_s: float,
    step: str,
) -> Generator[tuple[Task, Part | Restarted | Finished], None, None]:
    """Run `work` on every task in worker processes, a few parts ahead of the reader.

    A worker that hands over nothing for `stall_limit_s`, while the reader waits, is killed and
    replaced, and its task has failed. One that dies is replaced, and its task is tried once more.
    What `work` raises fails its own task, but for `EncoderError`, which ends the run.

    Parameters
    ----------
    work : callable
        A module-level generator function from a task to its parts; all must pickle.
    tasks : iterable
        Drawn only as fast as workers become free.
    n_workers : int
        Worker processes, started as they are needed.
    stall_limit_s : float
        Longest silence of a worker, in seconds.
    step : str
        The step named in the error of a task that hung, or crashed its worker.

    Yields
    ------
    (task, part)
        The parts of one task in order, those of different tasks between each other; `Finished`
        comes last.
    """
    crew = _Crew(work, tasks, n_workers, stall_limit_s, step)
    thread = threading.Thread(target=crew.run, name="eri-workers", daemon=True)
    thread.start()
    try:
        while (event := crew.events.get()) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event
    finally:
        crew.stop()
        thread.join()


def serve(descriptor: int) -> None:
    """Be a worker: take tasks from the pipe and send their parts, until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    os.nice(_NICENESS)
    with suppress(EOFError, ConnectionError), Connection(descriptor) as parent:
        work, step = parent.recv()
        parent.send(_READY)
        while True:
            for message in _messages(work, step, parent.recv()):
                parent.send(message)


_READY = "ready"


def _messages(work: Callable[[Any], Iterator[Any]], step: str, task: Any) -> Iterator[Any]:
    """Parts as 1-tuples, so that they differ from the messages of the protocol."""
    try:
        for part in work(task):
            yield (part,)
    except EncoderError as error:
        yield error  # no fault of the clip: every other clip would fail as well
    except MediaError as error:
        yield Finished(error)
    except Exception as error:  # a decoder met what nobody foresaw: this clip's fault alone
        yield Finished(MediaError(step, f"{type(error).__name__}: {error}"))
    else:
        yield Finished()


@dataclass
class _Assignment(Generic[Task]):
    task: Task
    n_attempts: int = 0


class _Worker(Generic[Task]):
    """One process, and what it is busy with."""

    def __init__(self, work: Callable[[Task], Any], step: str) -> None:
        self.connection, theirs = Pipe()
        code = f"from features.workers import serve; serve({theirs.fileno()})"
        paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # the parent's may carry JSON
                env=os.environ | {"PYTHONPATH": paths},
            )
        self.assignment: _Assignment[Task] | None = None
        self.deadline_s = time.monotonic() + _START_LIMIT_S
        self.started = False
        self.connection.send((work, step))

    def assign(self, assignment: _Assignment[Task], limit_s: float) -> None:
        self.assignment = assignment
        assignment.n_attempts += 1
        if self.started:
            self.deadline_s = time.monotonic() + limit_s
        with suppress(ConnectionError):  # dead already: found when it is listened to
            self.connection.send(assignment.task)

    def kill(self) -> int:
        self.process.kill()
        self.connection.close()
        return self.process.wait()


class _Crew(Generic[Task]):
    """What the listening thread does; `events` ends with None, or with the error to raise."""

    def __init__(
        self,
        work: Callable[[Task], Iterator[Any]],
        tasks: Iterable[Task],
        n_workers: int,
        stall_limit_s: float,
        step: str,
    ) -> None:
        self.events: queue.Queue[Any] = queue.Queue(maxsize=2 * n_workers + 2)
        self._work = work
        self._remaining = iter(tasks)
        self._again: deque[_Assignment[Task]] = deque()
        self._n_workers = n_workers
        self._stall_limit_s = stall_limit_s
        self._step = step
        self._workers: list[_Worker[Task]] = []
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    def run(self) -> None:
        try:
            while self._assign():
                self._listen()
            self._put(None)
        except _StoppedError:
            pass
        except BaseException as error:
            with suppress(_StoppedError):
                self._put(error)
        finally:
            for worker in self._workers:
                worker.kill()

    def _assign(self) -> bool:
        """Give every free worker a task; return whether any is busy."""
        while (assignment := self._next()) is not None:
            worker = next((each for each in self._workers if each.assignment is None), None)
            if worker is None:
                worker = _Worker(self._work, self._step)
                self._workers.append(worker)
            worker.assign(assignment, self._stall_limit_s)
        return any(worker.assignment for worker in self._workers)

    def _next(self) -> _Assignment[Task] | None:
        """Draw a task, if there is room for it and any is left."""
        n_busy = sum(worker.assignment is not None for worker in self._workers)
        if n_busy >= self._n_workers:
            return None
        if self._again:
            return self._again.popleft()
        task = next(self._remaining, None)
        return None if task is None else _Assignment(task)

    def _listen(self) -> None:
        """Hear every worker that has something to say, and part with those that fell silent."""
        busy = [worker for worker in self._workers if worker.assignment is not None]
        ready = wait([worker.connection for worker in busy], timeout=_POLL_S)
        for worker in busy:
            if worker.connection in ready:
                self._hear(worker)
            elif time.monotonic() > worker.deadline_s:
                self._dismiss(worker)
        if self._stopped.is_set():
            raise _StoppedError

    def _hear(self, worker: _Worker[Task]) -> None:
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            self._bury(worker)
            return
        worker.started = True
        worker.deadline_s = time.monotonic() + self._stall_limit_s
        assert worker.assignment is not None  # only busy workers are listened to
        task = worker.assignment.task
        if isinstance(message, EncoderError):
            raise message
        if isinstance(message, Finished):
            worker.assignment = None
            self._put((task, message))
        elif isinstance(message, tuple):
            self._put((task, *message))

    def _dismiss(self, worker: _Worker[Task]) -> None:
        """Kill a worker that is stuck; its task would hang the next one as well."""
        assignment = self._part_with(worker)
        limit_s = self._stall_limit_s if worker.started else _START_LIMIT_S
        reason = f"no result within {limit_s:g} s: the worker was stopped"
        self._put((assignment.task, Finished(MediaError(self._step, reason))))

    def _bury(self, worker: _Worker[Task]) -> None:
        """Replace a worker that died, of its task or of something else."""
        assignment = self._part_with(worker)
        if assignment.n_attempts < _MAX_ATTEMPTS:
            self._again.append(assignment)
            self._put((assignment.task, Restarted()))
            return
        code = worker.process.returncode
        reason = f"the worker process died {assignment.n_attempts} times (exit code {code})"
        self._put((assignment.task, Finished(MediaError(self._step, reason))))

    def _part_with(self, worker: _Worker[Task]) -> _Assignment[Task]:
        worker.kill()
        self._workers.remove(worker)
        assert worker.assignment is not None  # only busy workers are listened to
        return worker.assignment

    def _put(self, event: Any) -> None:
        """Queue an event; while the queue is full, no worker's silence counts."""
        began_s = time.monotonic()
        while not self._stopped.is_set():
            with suppress(queue.Full):
                self.events.put(event, timeout=_POLL_S)
                break
        else:
            raise _StoppedError
        waited_s = time.monotonic() - began_s
        for worker in self._workers:
            worker.deadline_s += waited_s


_POLL_S = 0.2


class _StoppedError(Exception):
    """The caller wants no more events."""
