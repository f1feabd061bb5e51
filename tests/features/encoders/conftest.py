"""A Hugging Face hub without a network: its local cache, filled by the tests."""

import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import pytest


@pytest.fixture
def put_on_hub(tmp_path, monkeypatch) -> Callable[[Path, str, str], Path]:
    """Copy a file into the cache as ``owner/repo`` and a name; nothing else can be had."""
    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    revision = "0" * 40

    def put(file: Path, repository: str, name: str) -> Path:
        folder = cache / f"models--{repository.replace('/', '--')}"
        target = folder / "snapshots" / revision / name
        target.parent.mkdir(parents=True)
        shutil.copy(file, target)
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text(revision)
        return target

    return put
