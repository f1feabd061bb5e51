"""Errors that the user can mend: shown as one line, without a traceback."""

import sys
from collections.abc import Callable


def run_or_exit(action: Callable[[], None]) -> None:
    """Run a stage or a command; an error of `user_errors` ends it with its message and status 1."""
    try:
        action()
    except Exception as error:
        if isinstance(error, user_errors()):
            sys.exit(f"error: {error}")
        raise


def user_errors() -> tuple[type[Exception], ...]:
    """Return the errors that the user can mend."""
    # Imported only once there is an error: the modules that define them are not light.
    from features.encoders import EncoderError
    from features.store import StoreError
    from models.arrays import DataError
    from pipeline.bundle import BundleError
    from pipeline.failures import FailedClipsError
    from pipeline.imports.findings import RefusedError
    from pipeline.labels import LabelError
    from pipeline.params import ParamsError

    return (
        BundleError,
        DataError,
        EncoderError,
        FailedClipsError,
        LabelError,
        OSError,
        ParamsError,
        RefusedError,
        StoreError,
    )
