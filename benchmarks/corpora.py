"""The clips that benchmarks run over: the shared real ones, where they are, and the demo corpus."""

import struct
from pathlib import Path

from pipeline.clip_ids import find_media
from pipeline.demo import DemoSettings
from pipeline.demo.corpus import write_corpus

SHARED = Path(__file__).parents[2] / "shared" / "clips"
TARGETS = ["Adoration", "Amusement", "Anxiety", "Disgust", "Empathic-Pain", "Fear", "Surprise"]


def benchmark_clips(folder: Path, *, fast: bool) -> dict[str, Path]:
    """Make the demo corpus (16 clips when `fast`, else 120) below a folder; return all clips."""
    settings = DemoSettings(n_people=16, clips_per_person=1) if fast else DemoSettings()
    write_corpus(folder / "demo", settings, TARGETS)
    return find_media([folder / "demo", *([SHARED] if SHARED.exists() else [])])


def copy_clip(original: Path, copy: Path, number: int) -> Path:
    """Copy an MP4 file with bytes of its own, or else the two would be one clip."""
    copy.parent.mkdir(exist_ok=True)
    # An empty box at the end, which every reader passes over.
    copy.write_bytes(original.read_bytes() + struct.pack(">I4sQ", 16, b"free", number))
    return copy
