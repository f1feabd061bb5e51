"""What ends a run in a message without a traceback; failed clips, said in one line."""

import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd

from pipeline.terminal import say

if TYPE_CHECKING:
    from features.extraction import ExtractReport

_MEANING = {
    "read": "not readable",
    "probe": "no media file",
    "stream": "without sound, video or words",
    "decode": "not decodable",
    "face": "without a face",
    "encode": "not encodable",
    "weights": "without the encoder's weights",
}


class FailedClipsError(Exception):
    """More clips failed than `data.max_failed_share` allows."""


def run_or_exit(action: Callable[[], None]) -> None:
    """Run a stage or a command; an error that the user can mend ends it with status 1."""
    try:
        action()
    except Exception as error:
        if isinstance(error, user_errors()):
            sys.exit(f"error: {error}")
        raise


def summary(name: str, n_clips: int, failures: pd.DataFrame) -> str:
    """Say how many clips passed `name`, an encoder or another step, and why the others did not."""
    counts = failures["step"].astype(str).value_counts().sort_index()
    why = ", ".join(f"{n} {_MEANING[str(step)]}" for step, n in counts.items())
    return f"{name}: {n_clips - len(failures)} of {n_clips} clips" + (f" ({why})" if why else "")


def check_share(name: str, n_clips: int, failures: pd.DataFrame, max_failed_share: float) -> None:
    """Raise FailedClipsError, with the first three, when more than the allowed share failed.

    A clip without what an encoder takes, and an encoder that is left out, are no faults.
    """
    faults = failures[~failures["step"].isin(["stream", "weights"])]
    if len(faults) <= max_failed_share * n_clips:
        return
    first = "\n".join(f"  {f.clip_id}: {f.step}: {f.reason}" for f in faults.head(3).itertuples())
    raise FailedClipsError(
        f"{name}: {len(faults)} of {n_clips} clips failed, more than `data.max_failed_share` "
        f"({max_failed_share:g}) allows. The first:\n{first}\nMend them, or run without them: "
        f"`max_failed_share: {math.ceil(100 * len(faults) / n_clips) / 100:g}` in params.yaml"
    )


def report_extraction(
    report: "ExtractReport", n_clips: int, max_failed_share: float, as_json: bool = False
) -> None:
    """Print what became of the clips, encoder by encoder, and `check_share` of each."""
    lines, content = [], {}
    for name, failures in report.failures.items():
        n_computed = report.n_computed[name]
        lines.append(f"{summary(name, n_clips, failures)}; {n_computed} computed now")
        content[name] = {
            "n_clips": n_clips,
            "n_embedded": report.n_embedded[name],
            "n_computed": n_computed,
            "left_out": report.left_out.get(name),
            "failures": failures.to_dict("records"),
        }
    lines += [f"{name} is LEFT OUT: {reason}" for name, reason in report.left_out.items()]
    say(as_json, content, lines)
    for name, failures in report.failures.items():
        check_share(name, n_clips, failures, max_failed_share)


def user_errors() -> tuple[type[Exception], ...]:
    """Return the errors that the user can mend."""
    # Imported only once there is an error: the modules that define them are not light.
    from features.errors import ClusterError, EncoderError
    from features.store import StoreError
    from models.arrays import DataError
    from pipeline.bundle import BundleError
    from pipeline.findings import RefusedError
    from pipeline.params import ParamsError

    of_eri = (BundleError, ClusterError, DataError, EncoderError, FailedClipsError, ParamsError)
    return (*of_eri, RefusedError, StoreError, OSError)
