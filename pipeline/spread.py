"""Many heads fitted: in this process, in one that can be killed, or on a cluster."""

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
    on: str | None = None,
    *,
    n_tasks: int = 0,
    files: Iterable[Path] = (),
    in_worker: bool = False,
) -> Iterator[tuple[FitTask, Fit | Failure]]:
    """Fit tasks as `Fitting.fit`, here one after the other, or side by side on a cluster.

    Parameters
    ----------
    fitting : Fitting
        Has the rows, and keeps the results.
    tasks : iterable of FitTask
        Drawn as they are begun: who draws the next one knows what came of those before, here of
        all. On a cluster those of a sequence come first that were fitted before.
    on : str, optional
        The cluster, as `features.extraction.cluster.Cluster` names it; by default here.
    n_tasks, files : int and iterable of Path
        Where tasks are no sequence: how many a cluster will draw, and all their clip vectors.
    in_worker : bool
        Whether to fit, if here, in a process that is ended when a task takes longer than its limit.

    Yields
    ------
    task : FitTask
        On a cluster in the order in which they are done.
    fit : Fit or Failure
        A `ValueError`, such as that of settings or data that cannot be fitted, is a failure; in
        a worker or on a cluster, whatever goes wrong is.
    """
    if on is not None:
        yield from _fit_on_cluster(fitting, tasks, on, n_tasks, files)
        return
    rows = pickle.dumps(fitting.rows) if in_worker else b""
    with Workers(1) as workers:  # started when it is used
        for task in tasks:
            try:
                yield task, _fit_by(workers, rows, task) if in_worker else fitting.fit(task)
            except ValueError as error:
                yield task, Failure(str(error), error=error)


def _fit_on_cluster(
    fitting: Fitting, tasks: Iterable[FitTask], on: str, n_tasks: int, files: Iterable[Path]
) -> Iterator[tuple[FitTask, Fit | Failure]]:
    if isinstance(tasks, Sequence):
        known = {task.name: fitting.known(task) for task in tasks}
        yield from ((task, fit) for task in tasks if (fit := known[task.name]) is not None)
        tasks = [task for task in tasks if known[task.name] is None]
        n_tasks, files = len(tasks), {path for task in tasks for path in task.files}
    if not n_tasks:
        return
    from features.extraction.cluster import Cluster  # and all that clips need

    contents = {path: path.read_bytes() for path in files}
    make = partial(_SlotFitter, pickle.dumps(fitting.rows), contents, fitting.code)
    with Cluster(on) as cluster:
        for (task,), fit in cluster.run(make, tasks, n_tasks):
            if isinstance(fit, Fit):
                fitting.keep(task, fit)
            yield task, fit


def fit_in_worker(work: tuple[bytes, FitTask]) -> Generator[Any, None, Fit]:
    """In a worker process: fit a head; its view and library are loaded without a limit of time."""
    rows, task = work
    fitting = _fitting_of(rows)
    yield Patience(_LOAD_LIMIT_S)
    fitting.view(task)
    task.make_head()
    yield "loaded"
    return fitting.fit(task)


@lru_cache(maxsize=1)
def _fitting_of(rows: bytes) -> Fitting:
    """In a worker process: the view that was used last stays loaded from one task to the next."""
    return Fitting(pickle.loads(rows))


def _fit_by(workers: Workers, rows: bytes, task: FitTask) -> Fit | Failure:
    try:
        fit: Fit = workers.call(fit_in_worker, (rows, task), limit_s=task.limit_s)
    except WorkerError as error:
        return error.failure
    return fit


class _SlotFitter:
    """In a slot of a cluster: fits one head after the other, in a process that can be killed."""

    def __init__(
        self, rows: bytes, files: Mapping[Path, bytes], code: str, _n_processors: int
    ) -> None:
        if code_digest() != code:
            raise ClusterError(
                f"{socket.gethostname()} would fit heads otherwise than this machine: both need "
                "the same versions of eri and its libraries, and a GPU, or both none"
            )
        self._rows = rows
        self._folder = tempfile.TemporaryDirectory()
        os.environ["ERI_CACHE"] = self._folder.name  # the caller keeps what is fitted
        self._files = {path: Path(self._folder.name, str(n)) for n, path in enumerate(files)}
        for path, content in files.items():
            self._files[path].write_bytes(content)
        self._workers = Workers(1)

    def __call__(self, tasks: list[FitTask]) -> Fit | Failure:
        (task,) = tasks
        task = replace(task, files=tuple(self._files[path] for path in task.files))
        return _fit_by(self._workers, self._rows, task)

    def close(self) -> None:
        self._workers.close()
        self._folder.cleanup()
