"""How a stage runs: one line of error instead of a traceback where the user can mend it."""

import sys
from collections.abc import Callable

from features.encoders import EncoderError
from features.store import StoreError
from pipeline.failures import FailedClipsError
from pipeline.labels import LabelError
from pipeline.params import ParamsError


def run_stage(stage: Callable[[], None]) -> None:
    """Run a stage; errors that its input caused end it with status 1 and their message."""
    try:
        stage()
    except (
        EncoderError,
        FailedClipsError,
        LabelError,
        OSError,
        ParamsError,
        StoreError,
        ValueError,
    ) as error:
        sys.exit(f"error: {error}")
