"""Work in processes that can be killed: what hangs or crashes costs its own task and no other.

A worker streams what it makes of its task to the caller in parts, so that neither side ever holds
the whole. Whoever reads the parts drives it all, without threads: a worker whose part nobody takes
waits in the middle of handing it over.
"""

import math
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Generic, TypeVar

import joblib

from features.extraction import worker_process
from features.extraction.worker_process import Failure as Failure
from features.extraction.worker_process import Finished as Finished
from features.extraction.worker_process import Patience as Patience
from features.extraction.worker_process import WorkerProcess, receive, send

Task = TypeVar("Task")

_POLL_S = 0.2
_LONGEST_POLL_S = 1.0  # a longer one was a pause of this process, such as Ctrl-Z, or of the machine


@dataclass(frozen=True)
class Restarted:
    """The worker died: the task is tried once more, and the parts so far are void."""


class WorkerError(Exception):
    """A task of `Workers.call` came to nothing; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class Workers(AbstractContextManager["Workers"]):
    """Worker processes, started as they are needed and kept from one run to the next.

    There are `n_workers` at most, by default one per processor that this process may use; with a
    `niceness` of 19 they never make anything else wait for a processor. Close them, or use them as
    a context manager; they end with this process in any case. What one has loaded stays there for
    its next task, if a cached function loads it: `pipeline.spread`.
    """

    def __init__(self, n_workers: int | None = None, *, niceness: int = 0) -> None:
        self._n_workers = n_workers or joblib.cpu_count()
        self._niceness = niceness
        self._idle: list[WorkerProcess] = []
        weakref.finalize(self, _end_all, self._idle)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all workers; a later run starts new ones."""
        _end_all(self._idle)

    def call(self, work: Callable[[Task], Any], task: Task, *, limit_s: float) -> Any:
        """Do one task in a worker, once, and return its result.

        Arguments are those of `run`; parts only show that the work goes on. It is a WorkerError
        when the work raised an error or took too long, or its process died.
        """
        with self.run(work, [task], stall_limit_s=limit_s, n_attempts=1) as events:
            *_, (_, finished) = events
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
        """Do tasks within a context, each worker a part ahead of the reader.

        The workers begin at once, whatever the caller does before it reads. When the context ends
        early, workers in the middle of a task are ended.

        Parameters
        ----------
        work : callable
            A function from a task to its result, which workers import by its module's name, or a
            generator function that yields parts; all must pickle. What it raises fails its task.
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
        limits = (stall_limit_s, task_limit_s, n_attempts)
        run = _Run(work, iter(tasks), *limits, self._idle, self._niceness)
        try:
            run.begin_next(self._n_workers)
            yield run.events()
        finally:
            _end_all(run.busy)


@dataclass
class _Attempt(Generic[Task]):
    """A task that a worker is busy with."""

    task: Task
    number: int = 1
    silence_limit_s: float = field(default_factory=lambda: worker_process.START_LIMIT_S)
    silent_s: float = 0.0  # time since it was last heard of in which the reader waited for a part
    listened_s: float = 0.0  # the same since its begin


@dataclass
class _Run(Generic[Task]):
    """What `Workers.run` was asked for, and who is busy with what."""

    work: Callable[[Task], Any]
    tasks: Iterator[Task]
    stall_limit_s: float
    task_limit_s: float
    n_attempts: int
    idle: list[WorkerProcess]
    niceness: int
    busy: dict[WorkerProcess, _Attempt[Task]] = field(default_factory=dict)

    def begin_next(self, n: int = 1) -> None:
        """Give the next tasks to workers that are free, or new."""
        for task in islice(self.tasks, n):
            self._begin(_Attempt(task))

    def events(self) -> Iterator[tuple[Task, Any]]:
        """Yield what the workers say, until all tasks are done."""
        while self.busy:
            began_s = time.monotonic()
            heard = wait([process.channel for process in self.busy], _POLL_S)
            waited_s = min(time.monotonic() - began_s, _LONGEST_POLL_S)
            for process, attempt in list(self.busy.items()):
                attempt.listened_s += waited_s
                attempt.silent_s += waited_s
                if process.channel in heard:
                    events = self._hear(process, attempt)
                elif attempt.silent_s > attempt.silence_limit_s:
                    late = f"no result within {attempt.silence_limit_s:g} s"
                    events = self._end(process, attempt, late)
                else:
                    continue
                for event in events:
                    yield attempt.task, event

    def _begin(self, attempt: _Attempt[Task]) -> None:
        while self.idle and not self.idle[-1].is_alive():
            self.idle.pop().end()  # died while it had nothing to do
        process = self.idle.pop() if self.idle else WorkerProcess(self.niceness)
        self.busy[process] = attempt
        with suppress(OSError):  # it has just died or does not listen, and will be found out
            send(process.channel, (self.work, attempt.task, Path.cwd()))

    def _hear(self, process: WorkerProcess, attempt: _Attempt[Task]) -> Iterator[Any]:
        """Take a message; yield what of it the reader is to know."""
        try:
            message = receive(process.channel)
        except (EOFError, OSError):
            yield from self._end(process, attempt)
            return
        attempt.silent_s = 0.0
        attempt.silence_limit_s = self.stall_limit_s
        if isinstance(message, Finished):
            del self.busy[process]
            self.idle.append(process)
            self.begin_next()
            yield message
        elif attempt.listened_s > self.task_limit_s:
            yield from self._end(process, attempt, f"not done within {self.task_limit_s:g} s")
        elif isinstance(message, Patience):
            attempt.silence_limit_s += message.extra_s
        else:
            yield from message  # its only part

    def _end(
        self, process: WorkerProcess, attempt: _Attempt[Task], late: str = ""
    ) -> Iterator[Restarted | Finished]:
        """End a worker that died or is late; another one tries the task of one that died."""
        failure = process.end()
        del self.busy[process]
        if not late and attempt.number < self.n_attempts:
            self._begin(_Attempt(attempt.task, attempt.number + 1))
            yield Restarted()
            return
        if late:  # the task would take the next worker as long
            failure = Failure(f"{late}: the worker was stopped")
        self.begin_next()
        yield Finished(failure=failure)


def _end_all(processes: list[WorkerProcess] | dict[WorkerProcess, Any]) -> None:
    for process in processes:
        process.end()
    processes.clear()
