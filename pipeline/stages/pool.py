"""Stage `pool`: from one encoder's feature store to one vector per clip."""

import sys

from features.pool import pool_clips
from features.store import read_store
from features.store_writer import write_clip_vectors
from pipeline.errors import run_or_exit
from pipeline.params import load_params
from pipeline.paths import FEATURES, POOLED


def main() -> None:
    """Write ``data/pooled/<encoder>.parquet`` for the encoder named on the command line."""
    params = load_params()
    (encoder,) = sys.argv[1:]
    store = read_store(FEATURES / encoder)
    clip_id, vectors = pool_clips(store, params.pooling)
    metadata = {**store.metadata, "pooling": params.pooling.model_dump()}
    shares = store.face_share
    if shares is not None:  # the same in every row of a clip
        shares = shares[store.clip_starts()]
    write_clip_vectors(POOLED / f"{encoder}.parquet", clip_id, vectors, metadata, shares)
    print(f"{encoder}: {vectors.shape[0]} clips x {vectors.shape[1]} columns")


if __name__ == "__main__":
    run_or_exit(main)
