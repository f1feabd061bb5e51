"""Work in processes that can be killed: what hangs or crashes costs its own task and no other.

A worker streams what it makes of its task to the caller in parts, so that neither side ever holds
the whole. One thread of the caller's process stands behind each worker; a bounded queue between
them and the caller holds the workers back when the caller is slower.
"""

import math
import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Self, TypeVar

import joblib

from features.extraction.worker_process import Failure, Finished, Patience, WorkerProcess

__all__ = ["Failure", "Finished", "Patience", "Restarted", "WorkerError", "Workers"]

Task = TypeVar("Task")

_START_LIMIT_S = 120.0
_POLL_S = 0.2


@dataclass(frozen=True)
class Restarted:
    """The worker died: the task is tried once more, and the parts so far are void."""


class WorkerError(Exception):
    """A task of `Workers.call` came to nothing; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure

    def __str__(self) -> str:
        return self.failure.reason


class Workers:
    """Worker processes, started as they are needed and kept from one run to the next.

    Close them, or use them as a context manager; they end with this process in any case.

    Parameters
    ----------
    n_workers : int, optional
        The most there are; default one per processor that this process may use.
    niceness : int
        19 for work that must never make the caller, or anything else, wait for a processor.

    Examples
    --------
    Work is a function of one task, which workers import by its module's name; it returns its
    result, or is a generator that yields parts and may return a result at its end.

    >>> import math, time
    >>> with Workers(1) as workers:
    ...     print(workers.call(math.factorial, 5, limit_s=60))
    ...     try:
    ...         workers.call(time.sleep, 600, limit_s=0.1)
    ...     except WorkerError as error:
    ...         print(error)
    120
    no result within 0.1 s: the worker was stopped

    What a worker has loaded stays there for its next task, if a cached function loads it. A
    generator asks for `Patience` where loading may take longer than the limit; the limit counts
    from its next part::

        @lru_cache(maxsize=1)
        def _view(name): ...

        def fit(task):
            yield Patience(600)
            view = _view(task.view)
            yield "loaded"
            return make_head(task.head).cross_fit(view)
    """

    def __init__(self, n_workers: int | None = None, *, niceness: int = 0) -> None:
        self._n_workers = n_workers or joblib.cpu_count()
        self._niceness = niceness
        self._idle: list[WorkerProcess] = []
        weakref.finalize(self, _end_all, self._idle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all workers; a later run starts new ones."""
        _end_all(self._idle)

    def call(self, work: Callable[[Task], Any], task: Task, *, limit_s: float) -> Any:
        """Do one task in a worker, once, and return its result.

        Parameters
        ----------
        work, task
            As for `run`; parts only show that the work goes on.
        limit_s : float
            Longest silence, as for `run`.

        Raises
        ------
        WorkerError
            When the work raised an error or took too long, or its process died.
        """
        with self.run(work, [task], stall_limit_s=limit_s, n_attempts=1) as events:
            finished = next(event for _, event in events if isinstance(event, Finished))
        if finished.failure is not None:
            raise WorkerError(finished.failure)
        return finished.result

    @contextmanager
    def run(
        self,
        work: Callable[[Task], Any],
        tasks: Iterable[Task],
        *,
        stall_limit_s: float,
        task_limit_s: float = math.inf,
        n_attempts: int = 2,
    ) -> Iterator[Iterator[tuple[Task, Any]]]:
        """Do tasks within a context, a few parts ahead of the reader.

        One run at a time. The workers begin at once, whatever the caller does before it reads.
        When the context ends early, workers in the middle of a task are ended.

        Parameters
        ----------
        work : callable
            A module-level function from a task to its result, or a generator function that yields
            parts; all must pickle. What it raises fails its own task.
        tasks : iterable
            Drawn only as fast as workers become free.
        stall_limit_s, task_limit_s : float
            A worker that hands over nothing for so long, or has not finished a task within so
            long, is killed, and its task has failed. Time in which it waits for the reader does
            not count, and `work` may ask for `Patience` before something long.
        n_attempts : int
            How often a task is tried of which a worker dies.

        Yields
        ------
        iterator of (task, event)
            Parts of one task in order, those of different tasks between each other; `Restarted`
            when the parts so far are void; `Finished` at last.
        """
        limits = _Limits(stall_limit_s, task_limit_s, n_attempts)
        events: queue.Queue[Any] = queue.Queue(2 * self._n_workers + 2)
        run = _Run(work, iter(tasks), limits, self._idle, self._niceness, events)
        threads = [
            threading.Thread(target=run.stand_by, name="eri-workers", daemon=True)
            for _ in range(self._n_workers)
        ]
        for thread in threads:
            thread.start()
        try:
            yield run.read(len(threads))
        finally:
            run.stopped.set()
            for thread in threads:
                thread.join()


@dataclass(frozen=True)
class _Limits:
    stall_s: float
    task_s: float
    n_attempts: int


@dataclass
class _Run(Generic[Task]):
    """What the threads behind the workers share, and the queue of what they hear."""

    work: Callable[[Task], Any]
    tasks: Iterator[Task]
    limits: _Limits
    idle: list[WorkerProcess]
    niceness: int
    events: queue.Queue[Any]
    drawing: threading.Lock = field(default_factory=threading.Lock)
    stopped: threading.Event = field(default_factory=threading.Event)

    def read(self, n_threads: int) -> Iterator[tuple[Task, Any]]:
        while n_threads:
            event = self.events.get()
            if isinstance(event, BaseException):
                raise event
            if event is None:  # a thread has ended
                n_threads -= 1
            else:
                yield event

    def stand_by(self) -> None:
        """Have one task after the other done: what a thread does."""
        with suppress(_StoppedError):
            try:
                while (drawn := self._draw()) is not None:
                    self._put((drawn[0], self._do(drawn[0])))
            except _StoppedError:
                raise
            except BaseException as error:  # of drawing a task, or of one that does not pickle
                self._put(error)
            self._put(None)

    def _draw(self) -> tuple[Task] | None:
        with self.drawing:
            for task in self.tasks:
                return (task,)
        return None

    def _do(self, task: Task) -> Finished:
        """Have a task done, by another worker if one dies of it; return how it ended."""
        death = Failure("")
        for attempt in range(self.limits.n_attempts):
            if attempt:
                self._put((task, Restarted()))
            process = self._free_process()
            try:
                finished = self._attempt(process, task)
            except (EOFError, OSError):
                death = process.end()
            except _LateError as late:
                process.end()  # the task would take the next worker as long
                return Finished(failure=Failure(f"{late}: the worker was stopped"))
            except BaseException:
                process.end()
                raise
            else:
                self.idle.append(process)
                return finished
        n = self.limits.n_attempts
        reason = death.reason if n == 1 else death.reason.replace("died", f"died {n} times")
        return Finished(failure=replace(death, reason=reason))

    def _free_process(self) -> WorkerProcess:
        with suppress(IndexError):
            while not (process := self.idle.pop()).is_alive():
                process.end()  # died while it had nothing to do
            return process
        return WorkerProcess(self.niceness)

    def _attempt(self, process: WorkerProcess, task: Task) -> Finished:
        """Pass on the parts of a task; return how it ended."""
        if not process.has_started:
            self._hear(process, _START_LIMIT_S, "no start")
            process.has_started = True
        process.channel.send((self.work, task))
        busy_until_s = time.monotonic() + self.limits.task_s
        extra_s = 0.0
        while True:
            message = self._hear(process, self.limits.stall_s + extra_s, "no result")
            if isinstance(message, Finished):
                return message
            heard_s = time.monotonic()
            if heard_s > busy_until_s:
                raise _LateError(f"not done within {self.limits.task_s:g} s")
            extra_s = message.extra_s if isinstance(message, Patience) else 0.0
            if not isinstance(message, Patience):
                self._put((task, *message))
                busy_until_s += time.monotonic() - heard_s  # the reader's time

    def _hear(self, process: WorkerProcess, limit_s: float, late: str) -> Any:
        """Wait for what a worker says next."""
        until_s = time.monotonic() + limit_s
        while not process.channel.wait(_POLL_S):
            if self.stopped.is_set():
                raise _StoppedError
            if time.monotonic() > until_s:
                raise _LateError(f"{late} within {limit_s:g} s")
        return process.channel.recv()

    def _put(self, event: Any) -> None:
        while not self.stopped.is_set():
            with suppress(queue.Full):
                self.events.put(event, timeout=_POLL_S)
                return
        raise _StoppedError


def _end_all(processes: list[WorkerProcess]) -> None:
    while processes:
        processes.pop().end()


class _StoppedError(Exception):
    """The caller wants no more events."""


class _LateError(Exception):
    """A worker took too long."""
