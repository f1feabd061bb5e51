"""Fits that are counted, and code that stands still."""

import pytest

from pipeline.compare import run as run_module
from pipeline.fits.fitting import Fitter


@pytest.fixture(autouse=True)
def the_same_code(monkeypatch) -> None:
    """Let nobody who edits `models` while tests run spoil them."""
    for name in ("code_digest", "_code_in_use"):
        monkeypatch.setattr(f"pipeline.fits.fit_cache.{name}", lambda: "code")


class Here:
    """In place of a `FitProcess`: fits in this process, and counts."""

    calls: list[str]

    def __init__(self, rows, time_limit_s) -> None:
        self._fitter = Fitter(rows)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def start(self) -> None:
        pass

    def call(self, method, view, head, *arguments):
        self.calls.append(f"{type(head).__name__}/{view.name}")
        return getattr(self._fitter, method)(view, head, *arguments)


@pytest.fixture
def fitted(monkeypatch) -> list[str]:
    """Fit without a process of its own; lists what is fitted, as class/view."""
    Here.calls = []
    monkeypatch.setattr(run_module, "FitProcess", Here)
    return Here.calls
