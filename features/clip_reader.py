"""Reading a feature store clip by clip, in any order."""

from pathlib import Path

from features.store import StoredClip, stored_clips


class ClipReader:
    """The clips of a store by id, in memory.

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
        shards = list(stored_clips(path))
        self.metadata = shards[0][0]
        self._clips = {clip.clip_id: clip for _, clips in shards for clip in clips}
        self.clip_ids = list(self._clips)
        self.dimension: int = self.read(self.clip_ids[0]).embedding.values.shape[1]

    def __contains__(self, clip_id: str) -> bool:
        return clip_id in self._clips

    def read(self, clip_id: str) -> StoredClip:
        """Read one clip; raises KeyError where the store does not have it."""
        return self._clips[clip_id]
