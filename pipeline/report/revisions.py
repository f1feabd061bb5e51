"""The files of a run at another revision: read through DVC, without touching the workspace."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.params import ParamsError
from pipeline.paths import (
    BASELINES,
    CLIPS,
    FOLDS,
    LEADERBOARD,
    OOF,
    PARAMS,
    PEOPLE,
    RUN,
    STACK,
)

if TYPE_CHECKING:
    from dvc.api import DVCFileSystem

WORKSPACE = "workspace"
"""The name of what lies in the working folder."""

_NEEDED = (PARAMS, LEADERBOARD)
_FOR_PAIRS = (CLIPS, FOLDS, PEOPLE, STACK, BASELINES, OOF)


def parse_revisions(text: str) -> tuple[str, str]:
    """Read ``REV``, which is compared with the workspace, or ``REV1..REV2``.

    Raises
    ------
    ParamsError
        When a name is missing.
    """
    before, dots, after = text.partition("..")
    if not before or (dots and not after):
        raise ParamsError(f"{text!r} names no revision: expected REV, or REV1..REV2")
    return before, after or WORKSPACE


def fetch_run(revision: str, folder: Path) -> Path:
    """Return a folder with the files of a run, laid out as in the repository.

    Parameters
    ----------
    revision : str
        What git, or DVC for experiments, knows by that name; `WORKSPACE` is what lies here.
    folder : Path
        Where the files of another revision are put; empty. Those by which predictions are paired,
        and the record of the run, may be missing afterwards.

    Raises
    ------
    ParamsError
        When there is no such revision, it has no results, or they are not in DVC's cache.
    """
    if revision == WORKSPACE:
        if not LEADERBOARD.is_file():
            raise ParamsError(f"there is no {LEADERBOARD} here: run `dvc repro`")
        return Path()
    from dvc.api import DVCFileSystem  # takes a second
    from dvc.exceptions import DvcException
    from dvc.scm import RevError, SCMError

    try:
        files = DVCFileSystem(".", rev=revision)
        _ = files.repo  # found now: `exists` would take an unknown revision for an empty one
        needed = (Path("dvc.lock"), *_NEEDED)  # without it DVC knows paths and no contents
        lost = [path for path in needed if not files.exists(path.as_posix())]
        for path in () if lost else (*_NEEDED, RUN, *_FOR_PAIRS):
            _fetch(files, path, folder)
    except (RevError, SCMError) as error:
        raise ParamsError(
            f"there is no revision {revision!r} ({error}): see `git log` and `dvc exp show`"
        ) from error
    except (DvcException, FileNotFoundError) as error:
        raise ParamsError(
            f"results of {revision} are neither in DVC's cache nor in a remote ({error}): run "
            f"`dvc fetch --all-commits`, or `dvc repro` at {revision}"
        ) from error
    if lost:
        raise ParamsError(
            f"{revision} has no {' and no '.join(map(str, lost))}: its results were not kept. "
            "Commit dvc.lock after `dvc repro`, or use `dvc exp run`, which keeps them"
        )
    return folder


def _fetch(files: "DVCFileSystem", path: Path, folder: Path) -> None:
    """Copy a file, or all files of a folder, where the revision has it."""
    name = path.as_posix()
    if not files.exists(name):
        return
    for each in files.find(name) if files.isdir(name) else [name]:
        place = folder / str(each).lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        with files.open(str(each), "rb") as source, place.open("wb") as copy:
            shutil.copyfileobj(source, copy)
