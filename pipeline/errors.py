"""Errors that the user can mend: shown as one line, without a traceback."""

import sys
from collections.abc import Callable

from features.encoders import EncoderError
from features.store import StoreError
from models.arrays import DataError
from pipeline.failures import FailedClipsError
from pipeline.labels import LabelError
from pipeline.params import ParamsError

USER_ERRORS = (
    DataError,
    EncoderError,
    FailedClipsError,
    LabelError,
    OSError,
    ParamsError,
    StoreError,
)


def run_or_exit(action: Callable[[], None]) -> None:
    """Run a stage or a command; an error of `USER_ERRORS` ends it with its message and status 1."""
    try:
        action()
    except USER_ERRORS as error:
        sys.exit(f"error: {error}")
