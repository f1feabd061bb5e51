"""Many heads fitted: one after the other here, in a process that can be killed, or on a cluster."""

import math
import os
import pickle
import socket
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from features.errors import ClusterError
from features.extraction.workers import Failure, Patience, WorkerError, Workers
from pipeline.fit import Fit, FitTask, Fitting
from pipeline.result_cache import code_digest

_LOAD_LIMIT_S = 600.0


def fit_all(
    fitting: Fitting,
    tasks: Iterable[FitTask],
    n_tasks: int,
    files: Iterable[Path],
    on: str | None = None,
    limit_s: float = math.inf,
    with_head: bool = False,
) -> Iterator[tuple[FitTask, Fit | Failure]]:
    """Fit tasks as `Fitting.fit`, here one after the other, or side by side on a cluster.

    Parameters
    ----------
    fitting : Fitting
        Has the rows, and keeps the results.
    tasks : iterable of FitTask
        Drawn as they are begun. Of a sequence, those come first that were fitted before.
    n_tasks : int
        How many they are.
    files : iterable of Path
        The clip vectors that any of them needs.
    on : str, optional
        The cluster, as `features.extraction.cluster.Cluster` names it; by default here.
    limit_s : float
        Longest time for one on the cluster, without loading its view.
    with_head : bool
        As for `Fitting.fit`.

    Yields
    ------
    task : FitTask
        On a cluster in the order in which they are done.
    fit : Fit or Failure
        A `ValueError`, such as that of settings or data that cannot be fitted, is a failure.
    """
    if on is None:
        for task in tasks:
            try:
                yield task, fitting.fit(task, with_head)
            except ValueError as error:
                yield task, Failure(str(error), error=error)
        return
    if isinstance(tasks, Sequence):
        known = {task.name: fitting.known(task, with_head) for task in tasks}
        yield from ((task, fit) for task in tasks if (fit := known[task.name]) is not None)
        tasks = [task for task in tasks if known[task.name] is None]
        n_tasks = len(tasks)
    if not n_tasks:
        return
    from features.extraction.cluster import Cluster  # and all that clips need

    contents = {path: path.read_bytes() for path in set(files)}
    rows = pickle.dumps(fitting.rows)
    make = partial(_SlotFitter, rows, contents, fitting.code, limit_s, with_head)
    with Cluster(on) as cluster:
        for (task,), fit in cluster.run(make, tasks, n_tasks):
            if isinstance(fit, Fit):
                fitting.keep(task, fit)
            yield task, fit


@lru_cache(maxsize=1)
def fitting_of(rows: bytes) -> Fitting:
    """In a worker process: the view that was used last stays loaded from one task to the next."""
    return Fitting(pickle.loads(rows))


def fit_in_worker(work: tuple[bytes, FitTask, bool, bool]) -> Generator[Any, None, Fit]:
    """In a worker process: fit a head; loading takes the time it takes, if that is said."""
    rows, task, is_patient, with_head = work
    if is_patient:
        yield Patience(_LOAD_LIMIT_S)
        fitting_of(rows).view(task)
        task.make_head()  # loads its library
        yield "loaded"
    return fitting_of(rows).fit(task, with_head)


class _SlotFitter:
    """In a slot of a cluster: fits one head after the other, in a process that can be killed."""

    def __init__(
        self,
        rows: bytes,
        files: Mapping[Path, bytes],
        code: str,
        limit_s: float,
        with_head: bool,
        _n_processors: int,
    ) -> None:
        if code_digest() != code:
            raise ClusterError(
                f"{socket.gethostname()} would fit heads otherwise than this machine: both need "
                "the same versions of eri and its libraries, and a GPU, or both none"
            )
        self._rows, self._limit_s, self._with_head = rows, limit_s, with_head
        self._folder = tempfile.TemporaryDirectory()
        os.environ["ERI_CACHE"] = self._folder.name  # the caller keeps what is fitted
        self._files = {path: Path(self._folder.name, str(n)) for n, path in enumerate(files)}
        for path, content in files.items():
            self._files[path].write_bytes(content)
        self._workers = Workers(1)

    def __call__(self, tasks: list[FitTask]) -> Fit | Failure:
        (task,) = tasks
        task = replace(task, files=tuple(self._files[path] for path in task.files))
        work = self._rows, task, True, self._with_head
        try:
            fit: Fit = self._workers.call(fit_in_worker, work, limit_s=self._limit_s)
        except WorkerError as error:
            return error.failure
        return fit

    def close(self) -> None:
        self._workers.close()
        self._folder.cleanup()
