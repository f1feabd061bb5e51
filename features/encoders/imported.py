"""Features that others computed: rows of a feature store, by clip id. Nothing is computed."""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from features.encoders.base import EncoderError
from features.encoders.weights import file_digest

if TYPE_CHECKING:
    from features.clip_reader import ClipReader


class ImportedSpec(BaseModel):
    """An entry of ``encoders`` in ``params.yaml`` that `eri import features` writes.

    Attributes
    ----------
    kind : str
        ``imported``.
    store : str
        Folder of a feature store.
    sha256 : str
        Its `store_digest`: so that whoever reads the parameters sees when the store changes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["imported"]
    store: str
    sha256: str

    @property
    def model(self) -> str:
        """What stands in the place of a model's name."""
        return self.store


class ImportedEncoder:
    """A store of imported features in the place of an encoder.

    Parameters
    ----------
    spec : ImportedSpec
        The validated entry of ``params.yaml``.
    """

    Spec: ClassVar[type[ImportedSpec]] = ImportedSpec

    def __init__(self, spec: Any) -> None:
        self.spec: ImportedSpec = spec

    def weights_digest(self) -> str:
        """Digest of the store's files.

        Raises
        ------
        EncoderError
            When there is no store, or another one than the parameters say.
        """
        folder = Path(self.spec.store)
        if not sorted(folder.glob("part-*.parquet")):
            raise EncoderError(
                f"there is no imported feature store {folder}: run `eri import features` again"
            )
        found = store_digest(folder)
        if found != self.spec.sha256:
            raise EncoderError(
                f"the feature store {folder} is another one than params.yaml says (sha256 "
                f"{found[:12]}… instead of {self.spec.sha256[:12]}…): run `eri import features` "
                "again, which writes both"
            )
        return found

    def dimension(self) -> int:
        """Width of an embedding; raises EncoderError when there is no store."""
        return self.reader.dimension

    @cached_property
    def reader(self) -> "ClipReader":
        """The store, opened; raises EncoderError when there is none."""
        from features.clip_reader import ClipReader  # not for decode workers
        from features.store import StoreError

        try:
            return ClipReader(Path(self.spec.store))
        except StoreError as error:
            raise EncoderError(f"{error}. Or run `eri import features` again") from error


def store_digest(folder: Path) -> str:
    """Return a SHA-256, in hex, of the shards of a store, in their order."""
    digest = hashlib.sha256()
    for shard in sorted(folder.glob("part-*.parquet")):
        digest.update(bytes.fromhex(file_digest(shard)))
    return digest.hexdigest()
