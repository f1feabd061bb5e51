"""Stages `pool` and `pool_store`: from a feature store to one vector per clip."""

import sys

import numpy as np
import pandas as pd

from features.pool import pool_store
from features.store import StoreError
from features.store_writer import write_clip_vectors, write_failures
from pipeline.clip_table import read_clip_table
from pipeline.errors import run_or_exit
from pipeline.params import load_params
from pipeline.paths import POOLED
from pipeline.views import check_store


def main() -> None:
    """Write ``data/pooled/<name>.parquet`` for the encoder or store named on the command line.

    An imported store may be of other clips: those of the clip table are kept, and those that it
    lacks are listed beside them, as `extract` does for encoders.
    """
    params = load_params(check_heads=False)
    (name,) = sys.argv[1:]
    folder = check_store(name, params)
    pooled = pool_store(folder, params.pooling)
    clip_id, vectors, share = pooled.clip_id, pooled.embedding, pooled.face_share
    metadata = pooled.metadata
    if name in params.stores:
        metadata |= {"store": str(folder), "sha256": params.stores[name].sha256}
        clips = read_clip_table()["clip_id"]
        kept = np.isin(clip_id.astype(str), clips.to_numpy(str))
        if not kept.any():
            raise StoreError(f"{folder} has features of no clip of the clip table: import others")
        if not kept.all():
            print(f"{name}: {(~kept).sum()} clips with features are not in the clip table")
        clip_id, vectors = clip_id[kept], vectors[kept]
        share = None if share is None else share[kept]
        missing = clips[~clips.isin(clip_id)]
        failures = pd.DataFrame({"clip_id": missing, "step": "stream", "reason": "no features"})
        write_failures(params.failures_file(name), failures)
    write_clip_vectors(POOLED / f"{name}.parquet", clip_id, vectors, metadata, share)
    print(f"{name}: {vectors.shape[0]} clips x {vectors.shape[1]} columns")


if __name__ == "__main__":
    run_or_exit(main)
