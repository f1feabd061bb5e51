"""What tests of this package share."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A folder that this process may not write, even where the tests run as root."""
    folder = Path(tempfile.mkdtemp())  # not below tmp_path, which others may not enter
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:  # root may write everywhere: be nobody for a while
        os.seteuid(65534)
    yield folder
    os.seteuid(user)
    folder.rmdir()


@pytest.fixture
def one_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clips be read by one worker: each is a process that takes a second to start."""
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
