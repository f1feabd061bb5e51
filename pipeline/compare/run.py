"""Run a comparison: take what was fitted before, fit the rest, and stack it all."""

import time
from collections.abc import Iterator

import numpy as np

from pipeline.compare.board import STACK, Board
from pipeline.compare.plan import Plan, Request, check_heads, make_plan
from pipeline.compare.process import FailedFitError, FitProcess
from pipeline.compare.scores import Scorer
from pipeline.compare.slices import slice_table
from pipeline.fits.curve import curve_arrays, curve_settings, curve_table
from pipeline.fits.fit_cache import FitCache
from pipeline.fits.jobs import Fit, Job
from pipeline.fits.result_cache import default_result_folder

TIME_LIMIT_S = 600.0
"""Longest time for one head on one view."""


def run(request: Request, time_limit_s: float = TIME_LIMIT_S) -> Iterator[Board]:
    """Compare, and yield the board whenever something is new on it.

    Heads run one after the other in a process of their own. One that fails or takes longer than
    `time_limit_s` (without loading the view) is a row with an error, and is tried again next time.

    Yields
    ------
    Board
        Always the same one; last, as it is when all is done.

    Raises
    ------
    ParamsError, StoreError
        As `make_plan`; also for unknown settings of heads.
    """
    yield from run_plan(request, make_plan(request, default_result_folder()), time_limit_s)


def run_plan(request: Request, plan: Plan, time_limit_s: float = TIME_LIMIT_S) -> Iterator[Board]:
    """As `run`, for a plan that was made otherwise; of the request heads and file are used."""
    with FitProcess(plan.rows, time_limit_s) as process:
        yield from _Run(request, plan, process).steps()


class _Run:
    """One comparison under way."""

    def __init__(self, request: Request, plan: Plan, process: FitProcess) -> None:
        self._request = request
        self._plan = plan
        self._process = process
        self._board = Board(plan)
        self._cache = FitCache(plan.rows, default_result_folder())
        self._scorer = Scorer(plan, self._cache)
        self._jobs = {job.name: job for job in plan.jobs}
        self._keys = {job.name: self._cache.key(job) for job in plan.jobs}

    def steps(self) -> Iterator[Board]:
        board = self._board
        missing = self._take_known()
        if missing:
            self._process.start()  # Python starts there while heads are checked here
            check_heads(self._request, self._plan)
        yield board
        for job in missing:
            board.begin(job.name)
            yield board
            self._add(job.name)
            yield board
        members = board.members
        if len(members) > 1:
            self._keys[STACK] = self._cache.stack_key([self._keys[name] for name in members])
            board.begin(STACK)
            yield board
            self._add(STACK)
        if self._plan.by is not None:
            fits = {entry.name: self._fit(entry.name) for entry in board.named("done")}
            board.slices = slice_table(fits, self._plan, self._plan.by)
        best = [entry.name for entry in board.named("done") if entry.name in members]
        if self._request.learning_curve and best:
            board.curve_of = best[0]
            yield board
            self._add_curve(best[0])
        self._cache.prune()
        yield board

    def _take_known(self) -> list[Job]:
        """Put what was fitted before on the board; return the jobs that are left."""
        keys = list(dict.fromkeys(self._keys.values()))
        known = {key: self._scorer.known(key) for key in keys}
        fits = {key: self._cache.get_fit(key) for key in keys if known[key] is None}
        # Fitted, but scored on another split only.
        known |= self._scorer.score({key: fit for key, fit in fits.items() if fit is not None})
        for name, key in self._keys.items():
            scored = known[key]
            if scored is not None:
                self._board.add(name, scored, reused=True)
        return [job for name, job in self._jobs.items() if known[self._keys[name]] is None]

    def _add(self, name: str) -> None:
        """Score a row, after fitting it where it is not known."""
        key = self._keys[name]
        reused = self._cache.has(key)  # known, or another run at the same time was first
        try:
            scored = self._scorer.known(key) or self._scorer.score({key: self._fit(name)})[key]
        except (FailedFitError, ValueError) as error:  # a head or the stack refuses the data
            self._board.fail(name, str(error), getattr(error, "details", ""))
            return
        self._board.add(name, scored, reused)

    def _fit(self, name: str) -> Fit:
        """Return a fit from the cache, or fit now."""
        key = self._keys[name]
        fit = self._cache.get_fit(key)
        if fit is None:
            fit = self._fit_stack() if name == STACK else self._fit_job(self._jobs[name])
            self._cache.put(key, fit.arrays)
        return fit

    def _fit_job(self, job: Job) -> Fit:
        from pipeline.fits.fitting import make_job_head  # loads the libraries of all heads

        fit: Fit = self._process.call("fit", job.view, make_job_head(job))
        return fit

    def _fit_stack(self) -> Fit:
        from models.stack import fit_stack, stack_oof

        fits = [self._fit(name) for name in self._board.members]
        began_s = time.perf_counter()
        rows, n = self._plan.rows, self._plan.rows.n_train
        predicted = np.stack([fit.predictions for fit in fits], axis=1)
        oof = stack_oof(predicted[:n], rows.y[:n], rows.fold_of_row)
        held = fit_stack(predicted[:n], rows.y[:n], rows.fold_of_row).predict(predicted[n:])
        return Fit(np.concatenate([oof, held]), time.perf_counter() - began_s)

    def _add_curve(self, name: str) -> None:
        """Make the learning curve of a head on a view, or take it from the cache."""
        from pipeline.fits.fitting import make_job_head

        settings = curve_settings(self._plan.rows, self._plan.params)
        key = self._cache.curve_key(self._keys[name], **settings)
        arrays = self._cache.get(key)
        if arrays is None:
            job = self._jobs[name]
            head = make_job_head(job)
            try:
                points = self._process.call("learning_curve", job.view, head, *settings.values())
            except FailedFitError as error:
                self._board.curve_error = str(error)
                return
            arrays = curve_arrays(points)
            self._cache.put(key, arrays)
        self._board.curve = curve_table(arrays)
