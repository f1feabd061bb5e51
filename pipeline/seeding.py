"""Filling the embedding cache from what DVC keeps of the last run.

DVC deletes a stage's outputs before it runs it, and the embedding cache does not travel with a DVC
remote. On a new machine, after `dvc pull`, the stores of the last run are the embeddings that are
there: they are read from DVC's own cache.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet as pq

from features.cache import default_cache_root
from features.encoders import Encoder
from features.identity import Sampling, encoder_identity
from features.store import store_metadata
from features.upkeep import seed_cache
from pipeline.paths import FEATURES


def seed_from_last_run(encoders: Mapping[str, Encoder], sampling: Sampling) -> dict[str, int]:
    """Seed encoders of which the cache knows nothing; return the number of clips by name."""
    root = default_cache_root()
    identities = {name: encoder_identity(each, sampling) for name, each in encoders.items()}
    unknown = {name for name, identity in identities.items() if not (root / identity).exists()}
    if not unknown:
        return {}
    from dvc.api import DVCFileSystem  # seconds to import, and rarely needed
    from dvc.exceptions import DvcException

    seeded = {}
    try:
        tracked = DVCFileSystem(".")
        for name in unknown:
            store = (FEATURES / name).as_posix()
            shards = sorted(tracked.glob(f"{store}/part-*.parquet"))
            if not shards:
                continue
            with tracked.open(shards[0]) as file:
                metadata = store_metadata(pq.read_schema(file))
            if metadata.get("identity") == identities[name]:
                with tempfile.TemporaryDirectory() as folder:
                    tracked.get(store, folder, recursive=True)
                    seeded[name] = seed_cache(_store_in(Path(folder)), root)
    except (DvcException, FileNotFoundError):
        pass  # no repository, or outputs that were never pulled: they are computed
    return seeded


def _store_in(folder: Path) -> Path:
    return next(folder.rglob("part-*.parquet")).parent
