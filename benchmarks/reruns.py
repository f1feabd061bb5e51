"""What a run costs when everything is cached, and when one clip is new.

``python -m benchmarks.reruns [--fast]``

A thousand copies of the demo clips, each with some bytes of its own appended (so that it counts as
another clip), are embedded with a small network once. Then:

- cached: nothing is new; compared with reading the store and writing it again
- one more: one clip is new; compared with embedding that clip alone plus the cached run
"""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.corpora import TARGETS, copy_clip
from benchmarks.machine import describe
from benchmarks.timing import timed
from features.encoders import make_encoder
from features.extraction import extract, index_files
from features.identity import Sampling
from features.store import read_store, stored_clips, write_store
from pipeline.demo import DemoSettings
from pipeline.demo.corpus import write_corpus

SAMPLING = Sampling(frame_rate_hz=3, sample_rate_hz=16000)
SPEC = {"kind": "torchvision", "model": "shufflenet_v2_x0_5", "weights": "random"}


def main(
    fast: Annotated[bool, typer.Option(help="A hundred clips instead of a thousand.")] = False,
) -> None:
    """Print the times and their ratios."""
    print(describe())
    n_clips = 100 if fast else 1000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        *clips, new = copies(folder, n_clips + 1)
        table = index_files({path.stem: path for path in clips}, progress=False)
        with_new = index_files({path.stem: path for path in [*clips, new]}, progress=False)
        encoders = {"small": make_encoder(SPEC)}

        def run(clip_table: object, out: str, cache: str) -> int:
            report = extract(
                clip_table,
                encoders,
                SAMPLING,
                folder / out,
                cache_root=folder / cache,
                progress=False,
            )
            return report.n_computed["small"]

        def copy_store() -> None:
            ((metadata, stored),) = stored_clips(folder / "all" / "small")
            write_store(folder / "copied", stored, metadata)

        first_s, n_first = timed(lambda: run(table, "all", "cache"))
        cached_s, n_cached = timed(lambda: run(table, "all", "cache"))
        tables_s, _ = timed(copy_store)
        alone_s, n_alone = timed(lambda: run(with_new.tail(1), "alone", "cache2"))
        one_more_s, n_more = timed(lambda: run(with_new, "all", "cache"))
        n_rows = len(read_store(folder / "all" / "small").embedding)
    assert (n_first, n_cached, n_alone, n_more) == (n_clips, 0, 1, 1)
    print(f"\n{n_clips} clips, {n_rows} rows\n")
    print("| run | s | compared with | s | ratio |")
    print("|---" * 5 + "|")
    print(f"| from nothing | {first_s:.2f} | | | |")
    print(
        f"| cached | {cached_s:.2f} | reading and writing the store | {tables_s:.2f} "
        f"| {cached_s / tables_s:.2f} |"
    )
    print(
        f"| one more clip | {one_more_s:.2f} | that clip alone, and the cached run "
        f"| {alone_s + cached_s:.2f} | {one_more_s / (alone_s + cached_s):.2f} |"
    )


def copies(folder: Path, n: int) -> list[Path]:
    """Make n clips of different bytes."""
    settings = DemoSettings(n_people=16, clips_per_person=1)
    write_corpus(folder / "demo", settings, TARGETS)
    originals = sorted((folder / "demo").rglob("*.mp4"))
    made = []
    for k in range(n):
        made.append(copy_clip(originals[k % len(originals)], folder / "many" / f"{k:05d}.mp4", k))
    return made


if __name__ == "__main__":
    typer.run(main)
