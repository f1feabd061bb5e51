"""The fits that a run's predictions come from: kept ones, new ones, and refits on Train and Val."""

from typing import Literal

from pipeline.fits.fit_cache import FitCache
from pipeline.fits.fitting import Fitter, make_job_head
from pipeline.fits.jobs import Fit, Job


def final_fit(
    job: Job, fitter: Fitter, cache: FitCache, refit_on: Literal["train", "train+val"]
) -> tuple[Fit, bool]:
    """Take a job's fit from the cache, or fit and keep it; then refit for Test where asked for.

    The ordinary fit is kept under its own key in either case: `eri compare` shares it, and
    toggling `refit_on` fits nothing twice.

    Parameters
    ----------
    job : Job
        The head and its view.
    fitter, cache : Fitter and FitCache
        Of the same rows.
    refit_on : {"train", "train+val"}
        As in `pipeline.params.Final`.

    Returns
    -------
    fit : Fit
        Predictions of every clip.
    reused : bool
        Whether nothing had to be fitted.

    Raises
    ------
    ParamsError, DataError
        As `Fitter.fit` and `Fitter.refit`.
    """
    key = cache.key(job)
    kept = cache.get_fit(key)
    fit = fitter.fit(job.view, make_job_head(job)) if kept is None else kept
    if kept is None:
        cache.put(key, fit.arrays)
    if refit_on == "train":
        return fit, kept is not None
    key = cache.refit_key(key)
    kept = cache.get_fit(key)
    refit = fitter.refit(fit, job.view, make_job_head(job)) if kept is None else kept
    if kept is None:
        cache.put(key, refit.arrays)
    return refit, kept is not None
