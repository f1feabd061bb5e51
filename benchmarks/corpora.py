"""The clips that benchmarks run over: the shared real ones, where they are, and the demo corpus."""

import struct
from collections.abc import Sequence
from pathlib import Path

from pipeline.clip_ids import find_media
from pipeline.demo import DemoSettings
from pipeline.demo.corpus import write_corpus
from pipeline.demo.rules import EMOTIONS

SHARED = Path(__file__).parents[2] / "shared" / "clips"
TARGETS = list(EMOTIONS)


def demo_clips(folder: Path, *, fast: bool) -> list[Path]:
    """Make the demo corpus (16 clips when `fast`, else 120) in a folder; return its videos."""
    settings = DemoSettings(n_people=16, clips_per_person=1) if fast else DemoSettings()
    write_corpus(folder, settings, TARGETS)
    return sorted(folder.rglob("*.mp4"))


def benchmark_clips(folder: Path, *, fast: bool) -> dict[str, Path]:
    """Make the demo corpus below a folder; return its clips and the shared ones, by their ids."""
    demo_clips(folder / "demo", fast=fast)
    return find_media([folder / "demo", *([SHARED] if SHARED.exists() else [])])


def copies(originals: Sequence[Path], n: int, folder: Path) -> dict[str, Path]:
    """Make n MP4 files, copies in turn with bytes of their own, or else they would be one clip."""
    folder.mkdir()
    paths = {}
    for number in range(n):
        original = originals[number % len(originals)]
        paths[f"{number:05d}"] = copy = folder / f"{number:05d}{original.suffix}"
        # An empty box at the end, which every reader passes over.
        copy.write_bytes(original.read_bytes() + struct.pack(">I4sQ", 16, b"free", number))
    return paths
