"""Work on clips in processes that can be killed: one clip must never stop a run.

A worker streams what it makes of its task to the parent in parts, so that neither side ever holds a
whole clip. One thread of the parent listens to all workers, hands out tasks, and replaces workers
that are stuck or dead; a bounded queue between it and the caller holds the workers back when the
caller is slower.
"""

import math
import queue
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any, Generic, Self, TypeVar

import joblib

from features.encoders.base import EncoderError
from features.extraction.worker_process import Finished, Order, Patience, WorkerProcess
from features.media.files import MediaError

__all__ = ["Finished", "Patience", "Restarted", "Workers"]

Task = TypeVar("Task")
Part = TypeVar("Part")

_START_LIMIT_S = 120.0
_MAX_ATTEMPTS = 2
_POLL_S = 0.2


@dataclass(frozen=True)
class Restarted:
    """The worker died: the task is tried once more, and the parts so far are void."""


class Workers:
    """Worker processes, started as they are needed and kept from one run to the next.

    Close them, or use them as a context manager; they end with this process in any case.

    Parameters
    ----------
    n_workers : int, optional
        The most there are; default one per processor that this process may use.
    """

    def __init__(self, n_workers: int | None = None) -> None:
        self._n_workers = n_workers or joblib.cpu_count()
        self._staff: list[_Worker] = []
        weakref.finalize(self, _dismiss_all, self._staff)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all workers; a later run starts new ones."""
        _dismiss_all(self._staff)

    @contextmanager
    def run(
        self,
        work: Callable[[Task], Iterator[Part | Patience]],
        tasks: Iterable[Task],
        *,
        step: str,
        stall_limit_s: float,
        task_limit_s: float = math.inf,
    ) -> Iterator[Iterator[tuple[Task, Part | Restarted | Finished]]]:
        """Run `work` on every task within a context, a few parts ahead of the reader.

        One run at a time. The workers begin at once, whatever the caller does before it reads.

        A worker that hands over nothing for `stall_limit_s`, or has not finished a task within
        `task_limit_s`, is killed, and its task has failed; time in which it waits for the reader
        does not count, and `work` may ask for `Patience` before something long. One that dies is
        replaced, and its task is tried once more. What `work` raises fails its own task, but for
        `EncoderError`, which ends the run. When the context ends early, workers in the middle of a
        task are ended.

        Parameters
        ----------
        work : callable
            A module-level generator function from a task to its parts; all must pickle.
        tasks : iterable
            Drawn only as fast as workers become free.
        step : str
            The step named in the error of a task that took too long, or crashed its worker.
        stall_limit_s, task_limit_s : float
            Longest silence within a task, and longest time for all of it, in seconds.

        Yields
        ------
        iterator of (task, part)
            The parts of one task in order, those of different tasks between each other; `Finished`
            comes last.
        """
        limits = _Limits(stall_limit_s, task_limit_s)
        run = _Run(self._staff, self._n_workers, work, tasks, limits, step)
        thread = threading.Thread(target=run.listen, name="eri-workers", daemon=True)
        thread.start()
        try:
            yield run.read()
        finally:
            run.stop()
            thread.join()


@dataclass(frozen=True)
class _Limits:
    stall_s: float
    task_s: float


@dataclass
class _Assignment(Generic[Task]):
    task: Task
    n_attempts: int = 0


class _Worker:
    """One process, what it is busy with, and until when it may be."""

    def __init__(self) -> None:
        self.process = WorkerProcess()
        self.assignment: _Assignment[Any] | None = None
        self.started = False
        self.silent_until_s = self.busy_until_s = math.inf

    def assign(self, assignment: _Assignment[Any], order: Order, limits: _Limits) -> None:
        self.assignment = assignment
        assignment.n_attempts += 1
        self._grant(limits if self.started else _Limits(_START_LIMIT_S, math.inf))
        self.process.send(order)

    def heard(self, limits: _Limits, extra_s: float) -> None:
        if not self.started:
            self.started = True
            self._grant(limits)
        self.silent_until_s = time.monotonic() + limits.stall_s + extra_s

    def wait_for_reader(self, waited_s: float) -> None:
        self.silent_until_s += waited_s
        self.busy_until_s += waited_s

    def _grant(self, limits: _Limits) -> None:
        now_s = time.monotonic()
        self.silent_until_s = now_s + limits.stall_s
        self.busy_until_s = now_s + limits.task_s


class _Run(Generic[Task]):
    """What the listening thread does, and how its events are read."""

    def __init__(
        self,
        staff: list[_Worker],
        n_workers: int,
        work: Callable[[Task], Iterator[Any]],
        tasks: Iterable[Task],
        limits: _Limits,
        step: str,
    ) -> None:
        # Ends with None, or with the error to raise.
        self._events: queue.Queue[Any] = queue.Queue(maxsize=2 * n_workers + 2)
        self._staff = staff
        self._n_workers = n_workers
        self._work = work
        self._remaining = iter(tasks)
        self._again: deque[_Assignment[Task]] = deque()
        self._limits = limits
        self._step = step
        self._stopped = threading.Event()

    def read(self) -> Iterator[tuple[Task, Any]]:
        while (event := self._events.get()) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event

    def stop(self) -> None:
        self._stopped.set()

    def listen(self) -> None:
        try:
            while self._assign():
                self._hear_all()
            self._put(None)
        except _StoppedError:
            pass
        except BaseException as error:
            with suppress(_StoppedError):
                self._put(error)
        finally:
            for worker in self._busy():
                self._part_with(worker)

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._staff if worker.assignment is not None]

    def _assign(self) -> bool:
        """Give every free worker a task; return whether any is busy."""
        while (assignment := self._next()) is not None:
            order = Order(self._work, self._step, assignment.task)
            self._free_worker().assign(assignment, order, self._limits)
        return bool(self._busy())

    def _free_worker(self) -> _Worker:
        for worker in [each for each in self._staff if each.assignment is None]:
            if worker.process.is_alive():
                return worker
            self._staff.remove(worker)  # died while it had nothing to do
            worker.process.kill()
        self._staff.append(_Worker())
        return self._staff[-1]

    def _next(self) -> _Assignment[Task] | None:
        """Draw a task, if there is room for it and any is left."""
        if len(self._busy()) >= self._n_workers:
            return None
        if self._again:
            return self._again.popleft()
        task = next(self._remaining, None)
        return None if task is None else _Assignment(task)

    def _hear_all(self) -> None:
        """Hear every worker that has something to say, and part with those that take too long."""
        busy = self._busy()
        ready = wait([worker.process.channel.fileno() for worker in busy], timeout=_POLL_S)
        for worker in busy:
            if worker.process.channel.fileno() in ready:
                self._hear(worker)
            elif time.monotonic() > worker.silent_until_s:
                limit_s = self._limits.stall_s if worker.started else _START_LIMIT_S
                self._dismiss(worker, f"no result within {limit_s:g} s")
            if worker.assignment is not None and time.monotonic() > worker.busy_until_s:
                self._dismiss(worker, f"not done within {self._limits.task_s:g} s")
        if self._stopped.is_set():
            raise _StoppedError

    def _hear(self, worker: _Worker) -> None:
        try:
            message = worker.process.channel.recv()
        except (EOFError, OSError):
            self._bury(worker)
            return
        extra_s = message.extra_s if isinstance(message, Patience) else 0.0
        worker.heard(self._limits, extra_s)
        assert worker.assignment is not None  # only busy workers are listened to
        task = worker.assignment.task
        if isinstance(message, EncoderError):
            raise message
        if isinstance(message, Finished):
            worker.assignment = None
            self._put((task, message))
        elif isinstance(message, tuple):
            self._put((task, *message))

    def _dismiss(self, worker: _Worker, reason: str) -> None:
        """Kill a worker that takes too long; its task would take the next one as long."""
        assignment, _ = self._part_with(worker)
        error = MediaError(self._step, f"{reason}: the worker was stopped")
        self._put((assignment.task, Finished(error)))

    def _bury(self, worker: _Worker) -> None:
        """Replace a worker that died, of its task or of something else."""
        assignment, code = self._part_with(worker)
        if assignment.n_attempts < _MAX_ATTEMPTS:
            self._again.append(assignment)
            self._put((assignment.task, Restarted()))
            return
        reason = f"the worker process died {assignment.n_attempts} times (exit code {code})"
        self._put((assignment.task, Finished(MediaError(self._step, reason))))

    def _part_with(self, worker: _Worker) -> tuple[_Assignment[Any], int]:
        """End a busy worker; return what it was busy with, and its exit code."""
        assignment = worker.assignment
        assert assignment is not None
        worker.assignment = None
        self._staff.remove(worker)
        return assignment, worker.process.kill()

    def _put(self, event: Any) -> None:
        """Queue an event; while the queue is full, no worker's time counts."""
        began_s = time.monotonic()
        while not self._stopped.is_set():
            with suppress(queue.Full):
                self._events.put(event, timeout=_POLL_S)
                break
        else:
            raise _StoppedError
        waited_s = time.monotonic() - began_s
        for worker in self._staff:
            worker.wait_for_reader(waited_s)


def _dismiss_all(staff: list[_Worker]) -> None:
    while staff:
        staff.pop().process.kill()


class _StoppedError(Exception):
    """The caller wants no more events."""
