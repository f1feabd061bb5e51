"""Fits kept on disk: what was fitted once, by whichever command, is not fitted again."""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pipeline.clip_table import Rows, column_vectors
from pipeline.fits.digests import code_digest, digest_of, rows_digest
from pipeline.fits.jobs import Fit, Job
from pipeline.fits.result_cache import Arrays, ResultCache
from pipeline.params import ParamsError


class FitCache:
    """The fits of heads on views of the same rows, and what is made of them.

    The key of a fit is a digest of the clip vectors, clips, targets, people and folds, of the
    head's kind, settings and seed, of the code of `models` and of the libraries' versions.

    Parameters
    ----------
    rows : Rows
        What is fitted on.
    folder : Path
        Where fits are kept.

    Raises
    ------
    ParamsError
        When the code was changed since this Python process first used it, as in a notebook.
    """

    def __init__(self, rows: Rows, folder: Path) -> None:
        self._results = ResultCache(folder)
        self._code = _code_in_use()
        self._check_code()
        self._rows, self._clips = rows_digest(rows), rows.clips

    def key(self, job: Job) -> str:
        """Return the key of a job's fit."""
        return self._key(
            kind=job.kind,
            settings=job.settings,
            seed=job.seed,
            tables=[table.digest for table in job.view.tables],
            column=self._column_digest(job.view.column),
        )

    def refit_key(self, fit: str) -> str:
        """Return the key of a fit whose Test predictions come from a refit on Train and Val.

        The fit itself keeps its own key, whatever `final.refit_on` says.
        """
        return self._key(refit_of=fit)

    def stack_key(self, members: Sequence[str]) -> str:
        """Return the key of the stack of the fits with these keys."""
        return self._key(stack_of=list(members))

    def score_key(self, fit: str, **settings: object) -> str:
        """Return the key of the score of a fit."""
        return self._key(score_of=fit, **settings)

    def curve_key(self, fit: str, **settings: object) -> str:
        """Return the key of the learning curve of the head and view of a fit."""
        return self._key(curve_of=fit, **settings)

    def has(self, key: str) -> bool:
        """Tell whether something is kept under a key; it counts as used."""
        return self._results.has(key)

    def get(self, key: str) -> Arrays | None:
        """Return what is kept under a key, or None."""
        return self._results.get(key)

    def get_fit(self, key: str) -> Fit | None:
        """Return the fit kept under a key, or None."""
        arrays = self.get(key)
        return None if arrays is None else Fit.from_arrays(arrays)

    def put(self, key: str, arrays: Arrays) -> None:
        """Keep arrays under a key.

        Raises
        ------
        ParamsError
            When the code was changed meanwhile: which version fitted cannot be told.
        OSError
            When the cache cannot be written.
        """
        self._check_code()
        self._results.put(key, arrays)

    def prune(self) -> None:
        """Remove what was not used for long, where there is too much."""
        self._results.prune()

    def _column_digest(self, column: str | None) -> str | None:
        if column is None:
            return None
        return hashlib.sha256(column_vectors(self._clips[column]).tobytes()).hexdigest()

    def _check_code(self) -> None:
        if code_digest() != self._code:
            raise ParamsError("the code of models/ was changed since it was loaded: start again")

    def _key(self, **parts: object) -> str:
        return digest_of({**parts, "code": self._code, "rows": self._rows})


@cache
def _code_in_use() -> str:
    """Return the digest of the code as it was first asked for in this process."""
    return code_digest()
