"""Work on clips in processes that can be killed: one clip must never stop a run."""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessPool

from features.encoders import EncoderError
from features.media import MediaError

Task = TypeVar("Task")
Result = TypeVar("Result")

_AHEAD_PER_WORKER = 3


def n_processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_isolated(
    work: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    n_workers: int,
    timeout_s: float,
    step: str,
) -> Iterator[tuple[Task, Result | MediaError]]:
    """Run `work` on every task in worker processes, a few tasks ahead of the reader.

    A worker that takes longer than `timeout_s`, or dies, is replaced; its task comes back as a
    `MediaError`, and so does one whose work raised anything but `EncoderError`, which ends the run.
    Built on pebble's process pool.

    Parameters
    ----------
    work : callable
        A module-level function from a task to a result; both must pickle.
    tasks : iterable
        Drawn only as fast as results are taken, so memory stays bounded.
    n_workers : int
        Worker processes.
    timeout_s : float
        Limit for one task.
    step : str
        The step named in the error of a task that hung or crashed.

    Yields
    ------
    (task, result or MediaError)
        In the order of completion.
    """
    # Not forked: a forked child would inherit the locks of torch's and BLAS's running threads.
    context = multiprocessing.get_context("spawn")
    remaining = iter(tasks)
    running: dict[Future[Result], Task] = {}
    with ProcessPool(max_workers=n_workers, context=context) as pool:
        try:
            while True:
                while len(running) < n_workers * _AHEAD_PER_WORKER:
                    task = next(remaining, None)
                    if task is None:
                        break
                    running[pool.schedule(work, args=[task], timeout=timeout_s)] = task
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield running.pop(future), _outcome(future, timeout_s, step)
        except BaseException:
            pool.stop()  # type: ignore[no-untyped-call]  # nothing is left running
            raise


def _outcome(future: Future[Any], timeout_s: float, step: str) -> Any:
    try:
        return future.result()
    except MediaError as error:
        return error
    except TimeoutError:
        return MediaError(step, f"no result within {timeout_s:g} s: the worker was stopped")
    except ProcessExpired as error:
        return MediaError(step, f"the worker process died (exit code {error.exitcode})")
    except EncoderError:
        raise  # no fault of the clip: every other clip would fail as well
    except Exception as error:  # a decoder met what nobody foresaw: this clip's fault alone
        return MediaError(step, f"{type(error).__name__}: {error}")
