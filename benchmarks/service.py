"""How far `eri predict` and the service are from the extraction rate, and what the service holds.

``python -m benchmarks.service [--fast]``

A small run of the demo makes a bundle. Ten of its clips, of 2 to 4 s, give

- the extraction rate: `features.extraction.extract` with an empty cache, everything imported
- `predict`: `load_bundle` and `Predictor.predict` in the same process, with an empty cache
- the service: `eri serve` in a process of its own, one upload after the other

Then come 500 uploads of them (`--fast`: 100), with the memory of the service's processes,
and 50 uploads at once.
"""

import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import httpx
import joblib
import psutil
import typer
import yaml

from benchmarks.common import ROOT, describe, timed, tree_mib
from benchmarks.corpora import demo_clips
from benchmarks.extraction import warm_up
from benchmarks.hume_size import run_stage, stages
from features.encoders import FrameEncoder
from features.extraction import extract, index_files
from pipeline.params import Params, load_run
from pipeline.paths import BUNDLE
from pipeline.predict import load_bundle

N_CLIPS = 10


def main(
    fast: Annotated[bool, typer.Option(help="100 uploads instead of 500.")] = False,
) -> None:
    """Print rates with their ratios, memory, and outcomes."""
    print(describe(), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        params = make_bundle(folder)
        bundle = folder / BUNDLE
        clips = sorted((folder / "demo").rglob("*.mp4"))[:N_CLIPS]
        extract_s = extraction_seconds(params, clips, folder)
        predict_s, _ = timed(predict, bundle, clips, folder / "cache-predict")
        options = ["--port", "0", "--bundle", str(bundle)]
        with serving(options, folder / "serve.log") as (process, url):
            seconds = [timed(upload, url, clip) for clip in clips]
            assert all(status == 200 for _, status in seconds)
            answer_s = statistics.median(each for each, _ in seconds)
            print(f"\n{N_CLIPS} clips, {joblib.cpu_count()} processors\n")
            print("| what | s per clip | ratio of rates to extraction |\n|---|---|---|")
            for what, each_s in (
                ("extraction", extract_s / N_CLIPS),
                ("load_bundle and predict", predict_s / N_CLIPS),
                ("the service, one upload, median", answer_s),
            ):
                ratio = extract_s / N_CLIPS / each_s
                print(f"| {what} | {each_s:.2f} | {ratio:.2f} |", flush=True)
            print(f"\nthe service takes {answer_s / extract_s * N_CLIPS:.2f} times as long\n")
            show_memory(process, url, clips, 100 if fast else 500)
            all_s, outcomes = timed(at_once, url, clips[0], 50)
            print(f"\n50 uploads at once, {all_s:.1f} s: {dict(outcomes)}")
            assert upload(url, clips[0]) == 200


def make_bundle(folder: Path) -> Params:
    """Run the stages on a small demo corpus."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["data"] = {"labels": "demo/labels.csv", "media": "demo", "max_failed_share": 0.1}
    params["folds"]["n_folds"] = 3
    params["heads"] = {"ridge": {"kind": "ridge"}, "lightgbm": {"kind": "lightgbm"}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    demo_clips(folder / "demo", fast=True)
    for stage in stages(folder):
        run_stage(folder, stage)
    with contextlib.chdir(folder):
        return load_run()


def extraction_seconds(params: Params, clips: list[Path], folder: Path) -> float:
    """Time the feature engine on the clips, from the clip table to the stores."""
    encoders = params.encoders
    for encoder in encoders.values():
        if isinstance(encoder, FrameEncoder):
            warm_up(encoder)
    table = index_files({clip.stem: clip for clip in clips}, progress=False)
    options = {"cache_root": folder / "cache-extract", "progress": False}
    return timed(extract, table, encoders, params.sampling, folder / "stores", **options)[0]


def predict(bundle: Path, clips: list[Path], cache: Path) -> None:
    """Load a bundle and predict clips."""
    with load_bundle(bundle) as predictor:
        predictor.table(predictor.embed(clips, cache_root=cache, progress=False))


@contextlib.contextmanager
def serving(
    options: Sequence[str], log: Path, environment: Mapping[str, str] = {}
) -> Iterator[tuple[psutil.Popen, str]]:
    """Run `eri serve` until it answers; gives its process and address."""
    command = [sys.executable, "-m", "pipeline.cli", "serve", *options]
    variables = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    with log.open("w", encoding="utf-8") as output:
        process = psutil.Popen(command, stdout=output, stderr=output, env=variables)
    try:
        while "running on " not in (said := log.read_text(encoding="utf-8")):
            if process.poll() is not None:
                raise SystemExit(f"eri serve ended:\n{said}")
            time.sleep(0.1)
        yield process, said.split("running on ")[1].split()[0]
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def upload(url: str, clip: Path) -> int:
    """Upload a clip; returns the status of the answer."""
    with clip.open("rb") as file:
        return httpx.post(f"{url}/predict", files={"file": file}, timeout=300).status_code


def show_memory(process: psutil.Process, url: str, clips: list[Path], n_uploads: int) -> None:
    """Print the memory of a process and all below it while it answers uploads."""
    print("| uploads | MiB | seconds per upload |\n|---|---|---|")
    for n_before in range(0, n_uploads, 50):
        some = [clips[number % len(clips)] for number in range(50)]
        seconds, statuses = timed(lambda some=some: [upload(url, clip) for clip in some])
        assert set(statuses) == {200}
        mib = tree_mib(process)
        print(f"| {n_before + 50} | {mib:.0f} | {seconds / 50:.2f} |", flush=True)


def at_once(url: str, clip: Path, n_uploads: int) -> Counter[int]:
    """Upload a clip many times at once; returns how often each status came."""
    with ThreadPoolExecutor(n_uploads) as clients:
        return Counter(clients.map(lambda _: upload(url, clip), range(n_uploads)))


if __name__ == "__main__":
    typer.run(main)
