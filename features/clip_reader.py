"""Reading a feature store clip by clip, in any order, without bringing all of it into memory."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.plain_pages import map_matrix
from features.segments import Embedding
from features.store import CLIPS_KEY, StoredClip, StoreError, first_rows, shards_of, store_metadata


class ClipReader:
    """A store on disk; its numbers stay there, mapped, until a clip is asked for.

    Parameters
    ----------
    path : Path
        The store's folder.

    Attributes
    ----------
    metadata : dict
        What the store says of itself.
    clip_ids : list of str
        In the store's order.
    dimension : int
        Width of an embedding.

    Raises
    ------
    StoreError
        When there is no store at `path`, or it is damaged.
    """

    def __init__(self, path: Path) -> None:
        shards = shards_of(path)
        try:
            schema = pq.read_schema(shards[0])
            self.metadata = store_metadata(schema)
            self.dimension: int = schema.field("embedding").type.list_size
            self._shards = [_Shard(shard) for shard in shards]
        except (pa.ArrowException, KeyError, AttributeError, OSError) as error:
            raise StoreError(f"{path} is not a feature store, or it is damaged: {error}") from error
        self._places = {
            clip_id: (shard, number)
            for shard in self._shards
            for number, clip_id in enumerate(shard.clip_ids)
        }
        self.clip_ids = list(self._places)

    def __contains__(self, clip_id: str) -> bool:
        return clip_id in self._places

    def read(self, clip_id: str) -> StoredClip:
        """Read one clip; raises KeyError where the store does not have it."""
        shard, number = self._places[clip_id]
        return shard.read(number)


class _Shard:
    """One file of a store: which clips it has, and where their rows are."""

    def __init__(self, path: Path) -> None:
        file = pq.ParquetFile(path, read_dictionary=["clip_id"])
        names = [n for n in ("clip_id", "time_s", "face_share") if n in file.schema_arrow.names]
        table = file.read(names)
        clip_id = table["clip_id"].to_numpy()
        self._time_s = table["time_s"].to_numpy()
        starts = first_rows(clip_id)
        share = table["face_share"].to_numpy()[starts] if "face_share" in names else None
        self._face_share = share
        self.clip_ids = [str(each) for each in clip_id[starts]]
        self._borders = np.r_[starts, len(clip_id)]
        content = (file.metadata.metadata or {}).get(CLIPS_KEY, b"").decode()
        self._digests = content.split()
        if len(self._digests) != len(self.clip_ids):
            raise KeyError(f"{path.name} does not say which bytes its clips have")
        self._groups = map_matrix(path, file, "embedding")
        self._group_ends = np.cumsum([len(group) for group in self._groups])

    def read(self, number: int) -> StoredClip:
        first, end = self._borders[number : number + 2]
        share = None if self._face_share is None else float(self._face_share[number])
        rows = self._rows(int(first), int(end))
        embedding = Embedding(self._time_s[first:end], rows, share)
        return StoredClip(self.clip_ids[number], self._digests[number], embedding)

    def _rows(self, first: int, end: int) -> NDArray[np.floating]:
        pieces = []
        group = int(np.searchsorted(self._group_ends, first, side="right"))
        while first < end:  # a clip may lie in several row groups
            offset = int(self._group_ends[group]) - len(self._groups[group])
            pieces.append(self._groups[group][first - offset : end - offset])
            first = min(end, int(self._group_ends[group]))
            group += 1
        return np.concatenate(pieces)
