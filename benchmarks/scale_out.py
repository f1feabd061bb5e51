"""What a cluster costs beside a local run, and whether a million clips cost what a thousand do.

``python -m benchmarks.scale_out [--fast] [--clips 100000,200000,1000000]``

- cluster: copies of the demo clips are embedded by a small network here and on Ray, with the same
  processors, three times in turn, then on one and on two nodes that Ray takes for machines with a
  processor each. Two sizes tell what starting costs from what a clip costs.
- many: a made-up clip table with a row of 88 numbers per clip. Its parts are timed per clip;
  memory is that of the process at its highest so far.
"""

import hashlib
import os
import resource
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from benchmarks.common import describe, timed
from benchmarks.corpora import copies, demo_clips
from features.cache import Embedding, EmbeddingCache
from features.encoders import make_encoder
from features.extraction import extract, index_files
from features.extraction.embedder import EncoderRun, plan
from features.identity import Sampling
from features.pool import Pooling, pool_store

N_ROUNDS = 3
SAMPLING = Sampling(frame_rate_hz=3, sample_rate_hz=16000)
SMALL = {"kind": "torchvision", "model": "shufflenet_v2_x0_5", "weights": "random"}
VOICE = {"kind": "opensmile", "model": "eGeMAPSv02"}


def main(
    fast: Annotated[bool, typer.Option(help="Few clips.")] = False,
    clips: Annotated[str, typer.Option(help="Sizes of the made-up tables.")] = "100000,200000",
    cluster: Annotated[bool, typer.Option(help="Whether to measure the cluster.")] = True,
) -> None:
    """Print both tables."""
    print(describe())
    with tempfile.TemporaryDirectory() as name:
        if cluster:
            compare_cluster(Path(name), 20 if fast else 200)
        print("\n| clips | plan | put | again: plan, look up, write | pool | again, s | MiB |")
        print("|---" * 7 + "|")
        for n in [1000, 2000] if fast else [int(each) for each in clips.split(",")]:
            print(many(Path(name, str(n)), n), flush=True)


def compare_cluster(folder: Path, n: int) -> None:
    """Time n and 4 n clips: here, on Ray, and on one and two of its nodes with a processor each."""
    from ray.cluster_utils import Cluster as Nodes

    files = copies(demo_clips(folder / "demo", fast=True), 4 * n, folder / "many")
    table = index_files(files, progress=False)
    print("\n| on | start, s | a clip, s |\n|---|---|---|")
    for _ in range(N_ROUNDS):  # in turn, since a machine's speed drifts
        for name, on in (("here", None), ("ray", "ray")):
            print(cost(name, table, n, folder, on), flush=True)
    node = {"num_cpus": 1, "object_store_memory": 2**28}
    os.environ["PYTHONPATH"] = str(Path.cwd())
    nodes = Nodes(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    os.environ["RAY_ADDRESS"] = nodes.address
    print(cost("one node", table, n, folder, "ray"), flush=True)
    nodes.add_node(**node)
    print(cost("two nodes", table, n, folder, "ray"), flush=True)
    nodes.shutdown()


def cost(name: str, table: pd.DataFrame, n: int, folder: Path, on: str | None) -> str:
    """Return a row: what starting costs, and what a clip costs."""
    times = []
    for share in (table.head(n), table):
        places = folder / f"{name}-{len(share)}", folder / f"cache-{name}-{len(share)}"
        options = {"cache_root": places[1], "on": on, "progress": False}
        encoders = {"small": make_encoder(SMALL)}
        times.append(timed(partial(extract, share, encoders, SAMPLING, places[0], **options))[0])
        for place in places:
            shutil.rmtree(place)
    clip_s = (times[1] - times[0]) / (3 * n)
    return f"| {name} | {times[0] - n * clip_s:.1f} | {clip_s:.4f} |"


def many(folder: Path, n: int) -> str:
    """Time what is done for each of n clips besides decoding and encoding: microseconds a clip."""
    digests = [hashlib.sha256(str(k).encode()).hexdigest() for k in range(n)]
    table = pd.DataFrame({"clip_id": [f"clip{k:07d}" for k in range(n)], "sha256": digests})
    table = table.assign(path="stub.wav", has_video=False, has_audio=True)
    table = table.assign(error_step=None, error_reason=None)
    encoder = make_encoder(VOICE)
    rows = np.random.default_rng(0).normal(size=(1000, 1, 88)).astype(np.float32)
    run = EncoderRun("voice", encoder, SAMPLING, folder / "cache")
    cache = EmbeddingCache(folder / "cache", run.identity)

    def put() -> None:
        for k, digest in enumerate(digests):
            cache.put(digest, Embedding(np.zeros(1), rows[k % 1000]))

    plan_s, _ = timed(lambda: plan(table, {"voice": run}))
    put_s, _ = timed(put)
    places = {"destination": folder / "out", "cache_root": folder / "cache"}
    again_s, report = timed(
        lambda: extract(table, {"voice": encoder}, SAMPLING, **places, progress=False)
    )
    assert (report.n_computed["voice"], report.n_embedded["voice"]) == (0, n)
    pooling = Pooling(statistics=("mean",), parts=("whole",))
    pool_s, _ = timed(lambda: pool_store(folder / "out" / "voice", pooling))
    each_us = [f"{1e6 * s / n:.0f} us" for s in (plan_s, put_s, again_s, pool_s)]
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return f"| {n:,} | {' | '.join(each_us)} | {again_s:.0f} | {peak_mib:.0f} |"


if __name__ == "__main__":
    typer.run(main)
