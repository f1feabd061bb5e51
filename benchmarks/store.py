"""Reading a feature store into one matrix, against `np.load` of the same matrix.

``python -m benchmarks.store [--fast]``

Each read is a process of its own, so that its peak memory is its own; what Python and the imports
take is measured by a process that reads nothing, and taken off.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.machine import describe
from features.cache import Embedding
from features.store import StoredClip, write_store

READS = {
    "nothing": "None",
    "np.load": "np.load(folder / 'matrix.npy')",
    "read_store": "read_store(folder / 'store')",
}
CODE = """
import sys, time
from pathlib import Path
import numpy as np
from features.store import read_store
folder = Path(sys.argv[1])
began_s = time.perf_counter()
result = {read}
seconds = time.perf_counter() - began_s
status = Path("/proc/self/status").read_text()
peak_kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
print(seconds, int(peak_kib) * 1024)
"""


def main(
    fast: Annotated[bool, typer.Option(help="A tenth of the rows, one repeat.")] = False,
    n_rows: Annotated[int, typer.Option(help="Rows of the matrix.")] = 25_067,
    dimension: Annotated[int, typer.Option(help="Columns of the matrix.")] = 2_048,
) -> None:
    """Print one table row per storage type."""
    print(describe())
    n_rows, n_repeats = (n_rows // 10, 1) if fast else (n_rows, 5)
    print(f"\n{n_rows} x {dimension}, best of {n_repeats}, files in the page cache\n")
    print("| dtype | np.load s | read_store s | ratio | peak memory / matrix |")
    print("|---" * 5 + "|")
    for dtype in ("float16", "float32"):
        with tempfile.TemporaryDirectory() as name:
            matrix = make(Path(name), n_rows, dimension, dtype)
            best = {what: read(what, Path(name), n_repeats) for what in READS}
        load_s, read_s = best["np.load"][0], best["read_store"][0]
        peak = (best["read_store"][1] - best["nothing"][1]) / matrix.nbytes
        print(f"| {dtype} | {load_s:.3f} | {read_s:.3f} | {read_s / load_s:.2f} | {peak:.2f} |")


def make(folder: Path, n_rows: int, dimension: int, dtype: str) -> np.ndarray:
    """Write the same numbers as a store and as one array."""
    matrix = np.random.default_rng(0).standard_normal((n_rows, dimension), np.float32)
    matrix = matrix.astype(dtype)
    np.save(folder / "matrix.npy", matrix)
    rows = (Embedding(np.zeros(1), row[None]) for row in matrix)
    clips = (StoredClip(f"{k:05d}", f"{k:064d}", row) for k, row in enumerate(rows))
    write_store(folder / "store", clips, {})
    return matrix


def read(what: str, folder: Path, n_repeats: int) -> tuple[float, float]:
    """Return the least seconds and the least peak memory in bytes of several processes."""
    code = CODE.format(read=READS[what])
    runs = []
    for _ in range(n_repeats + 1):  # the first one fills the page cache
        command = [sys.executable, "-c", code, str(folder)]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        runs.append([float(each) for each in shown.split()])
    seconds, peaks = zip(*runs[1:], strict=True)
    return min(seconds), min(peaks)


if __name__ == "__main__":
    typer.run(main)
