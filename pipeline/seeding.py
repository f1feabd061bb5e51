"""Filling the embedding cache from what DVC keeps of the last run.

DVC deletes a stage's outputs before it runs it, and the embedding cache does not travel with a DVC
remote. On a new machine, after `dvc pull`, the stores of the last run are the embeddings that are
there: they are read from DVC's own cache.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from features.cache import default_cache_root
from features.encoders import Encoder
from features.identity import Sampling, encoder_identity
from features.store import store_metadata
from features.upkeep import seed_cache
from pipeline.paths import FEATURES

if TYPE_CHECKING:
    from dvc.api import DVCFileSystem


def seed_from_last_run(encoders: Mapping[str, Encoder], sampling: Sampling) -> dict[str, int]:
    """Seed encoders of which the cache knows nothing; return the number of clips by name."""
    root = default_cache_root()
    identities = {name: encoder_identity(each, sampling) for name, each in encoders.items()}
    unknown = {n: identity for n, identity in identities.items() if not (root / identity).exists()}
    if not unknown:
        return {}
    from dvc.api import DVCFileSystem  # seconds to import, and rarely needed

    try:
        tracked = DVCFileSystem(".")
        return {name: _seed(tracked, name, identity, root) for name, identity in unknown.items()}
    except Exception as error:  # whatever DVC or a remote has to say: this is only a shortcut
        print(f"nothing taken from the last run's output: {error}")
        return {}


def _seed(tracked: "DVCFileSystem", name: str, identity: str, root: Path) -> int:
    store = (FEATURES / name).as_posix()
    shards = sorted(tracked.glob(f"{store}/part-*.parquet"))
    if not shards:
        return 0
    with tracked.open(shards[0]) as file:
        metadata = store_metadata(pq.read_schema(file))
    if metadata.get("identity") != identity:
        return 0
    with tempfile.TemporaryDirectory() as folder:
        tracked.get(store, folder, recursive=True)
        return seed_cache(next(Path(folder).rglob("part-*.parquet")).parent, root)
