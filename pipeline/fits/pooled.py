"""Where the clip vectors of a view come from: DVC's pooled tables, or a store pooled otherwise."""

import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.encoders import make_encoder
from features.pool import Pooling, is_clip_level, pool_clips, pooled_width
from features.store import StoreError, read_store, store_metadata
from features.store_writer import write_clip_vectors
from models.arrays import DataError
from pipeline.fits.digests import FileDigests, digest_of, pooling_code_digest, stamp_of
from pipeline.fits.jobs import Table, View
from pipeline.params import Params, ParamsError
from pipeline.paths import FEATURES, POOLED
from pipeline.views import JOIN, check_store, join_tables


def find_view(
    name: str,
    params: Params,
    cache: Path,
    pooling: Pooling | None = None,
    stores: Sequence[Path] = (FEATURES,),
) -> View:
    """Find the clip vectors of a view's encoders.

    Parameters
    ----------
    name : str
        Encoder names joined by ``+``.
    params : Params
        What the encoders and the pooling have to be.
    cache : Path
        Where vectors of other poolings are kept, and digests of files remembered.
    pooling : Pooling, optional
        Another pooling than that of `params`. DVC's tables are used where they are pooled as
        wanted; otherwise the feature store is pooled when the view is loaded.
    stores : sequence of Path
        Folders of feature stores; the first one that has an encoder counts.

    Raises
    ------
    StoreError
        When neither a table nor a store of an encoder is there.
    ParamsError
        When they were made by other settings than `params` has.
    """
    digests = FileDigests(cache)
    find = partial(_find_table, params=params, cache=cache, pooling=pooling, folders=stores)
    return View(name, tuple(find(each, digests=digests) for each in name.split(JOIN)))


def load_vectors(view: View, clip_ids: Sequence[str]) -> NDArray[np.float32]:
    """Load the clip vectors of a view (n_clips, n_columns), pooling stores where need be.

    Raises
    ------
    DataError
        When a file has changed since its digest was taken: results would be kept under the name
        of other numbers.
    StoreError
        When a file is missing or damaged.
    """
    for table in view.tables:
        if table.store is not None and table.pooling is not None:
            _pool(table, table.store, table.pooling)
    x = join_tables([table.path for table in view.tables], clip_ids)
    for table in view.tables:
        _check_unchanged(table)
    return x


def _find_table(
    encoder: str,
    params: Params,
    cache: Path,
    pooling: Pooling | None,
    folders: Sequence[Path],
    digests: FileDigests,
) -> Table:
    path = POOLED / f"{encoder}.parquet"
    if path.is_file():
        schema = pq.read_schema(path)
        metadata = store_metadata(schema)
        if is_clip_level(metadata) or _is_pooled_so(metadata, pooling, params.pooling):
            _check_made_by(metadata, path, encoder, params)
            digest, stamp = digests.of(path)
            width = schema.field("embedding").type.list_size
            return Table(path, width, digest, ((path, stamp),))
    wanted = pooling or params.pooling
    found_in = [folder / encoder for folder in folders if (folder / encoder).is_dir()]
    imported = encoder in params.stores or not found_in
    store = check_store(encoder, params) if imported else found_in[0]
    shards = sorted(store.glob("part-*.parquet"))
    if not shards:
        raise StoreError(f"there is neither {path} nor a feature store {store}: run `dvc repro`")
    schema = pq.read_schema(shards[0])
    metadata = store_metadata(schema)
    _check_made_by(metadata, store, encoder, params)
    found = {shard: digests.of(shard) for shard in shards}
    digest = digest_of(
        {
            "shards": [digest for digest, _ in found.values()],
            "pooling": wanted.model_dump(),
            "code": pooling_code_digest(),
        }
    )
    return Table(
        path=cache / f"{digest}.parquet",
        width=pooled_width(metadata, schema.field("embedding").type.list_size, wanted),
        digest=digest,
        stamps=tuple((shard, stamp) for shard, (_, stamp) in found.items()),
        store=store,
        pooling=wanted,
    )


def _pool(table: Table, store: Path, pooling: Pooling) -> None:
    if table.path.exists():
        table.path.touch()  # the cache forgets first what was not used for long
        return
    clip_id, vectors = pool_clips(read_store(store), pooling)
    beside = table.path.with_name(f".{os.getpid()}-{table.path.name}")
    write_clip_vectors(beside, clip_id, vectors, {"pooling": pooling.model_dump()})
    _check_unchanged(table)
    beside.replace(table.path)


def _check_unchanged(table: Table) -> None:
    for path, stamp in table.stamps:
        if stamp_of(path) != stamp:
            raise DataError(f"{path} was changed while it was used: start again")


def _is_pooled_so(metadata: Mapping[str, Any], asked: Pooling | None, default: Pooling) -> bool:
    """Whether a table is pooled as wanted; one that does not say how counts as the default."""
    said = metadata.get("pooling")
    if said is None:
        return asked is None
    try:
        return Pooling.model_validate(said) == (asked or default)
    except ValueError:  # of a version that knew other poolings
        return False


def _check_made_by(metadata: Mapping[str, Any], path: Path, encoder: str, params: Params) -> None:
    """Numbers of other weights or frames than `params.yaml` says would be shown under its name."""
    if encoder in params.stores:
        expected: dict[str, Any] = {"sha256": params.stores[encoder].sha256}
    else:
        spec = make_encoder(params.encoders[encoder]).spec.model_dump()
        expected = {"spec": spec, "sampling": params.sampling.model_dump()}
    for key, value in json.loads(json.dumps(expected)).items():
        if key in metadata and metadata[key] != value:
            raise ParamsError(
                f"{path} was made with another {key} of {encoder!r} than params.yaml "
                f"has: {metadata[key]} instead of {value}. Run `dvc repro`"
            )
