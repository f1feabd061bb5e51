"""Embeddings on disk, found again by what they are: shared between runs, checkouts and people.

Each embedding is an object of its own, ``<root>/<identity>/ab/abcd….safetensors``, named by the
digest of the clip's bytes and never changed: any number of runs may read and write at once, without
a lock. ``<root>/<identity>/encoder.json`` says what made them; its time of change is that of last
use. The root is a folder, or any place that fsspec opens by a URL.
"""

import hashlib
import json
import os
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
from fsspec.implementations.local import LocalFileSystem
from numpy.typing import NDArray
from safetensors.numpy import load, save

from features.files import explaining

DESCRIPTION = "encoder.json"
SUFFIX = ".safetensors"
UNFINISHED = ".part"  # of files that a run left behind if it was killed while it wrote

_METADATA_KEY = "eri"
_NO_DIGEST = "-" * 64
_COLUMNS = ("time_s", "values", "track", "face_score")


def default_cache_root() -> Path:
    """Return ``$ERI_CACHE``, or ``.eri-cache`` in the working folder."""
    return Path(os.environ.get("ERI_CACHE") or ".eri-cache").expanduser()


@dataclass(frozen=True, repr=False, eq=False)
class Embedding:
    """One clip under one encoder.

    Attributes
    ----------
    time_s : ndarray of float64, shape (n_rows,)
        Of each frame, or the middle of each window.
    values : ndarray of float16 or float32, shape (n_rows, dimension)
        One row per frame or window.
    face_share : float or None
        Share of the clip's frames with a face; None for encoders that do not crop to faces.
    track, face_score : ndarray of int32 and of float32, shape (n_rows,), or None
        Whose face each row is, and its detector's score; see `features.media.faces.FaceRows`.
    """

    time_s: NDArray[np.float64]
    values: NDArray[np.floating]
    face_share: float | None = None
    track: NDArray[np.int32] | None = None
    face_score: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.time_s.shape != self.values.shape[:1]:
            raise ValueError(
                f"time_s of shape {self.time_s.shape} and values of shape {self.values.shape}: "
                "expected (n_rows,) and (n_rows, dimension)"
            )

    def __repr__(self) -> str:
        n_rows, dimension = self.values.shape
        return f"Embedding({n_rows} rows x {dimension} {self.values.dtype})"


class DamagedError(Exception):
    """A cached object that is not what was written."""


class EmbeddingCache:
    """The cached embeddings of one encoder identity, by the SHA-256 of the clips' bytes.

    What other runs put there after this object was made is not seen. An `OSError` that it raises
    names the cache and ``ERI_CACHE``.

    Parameters
    ----------
    root : Path or str
        The cache of all encoders: a folder, or a URL such as ``s3://bucket/cache``.
    identity : str
        As `features.identity.encoder_identity` gives it.
    description : mapping, optional
        What the identity stands for, JSON-serialisable. It is written at once, which counts as use.
        Without it nothing is written until `put`.
    """

    def __init__(
        self, root: Path | str, identity: str, description: Mapping[str, Any] | None = None
    ) -> None:
        self._files, path = fsspec.core.url_to_fs(str(root))
        self._folder = f"{path}/{identity}"
        self._files.invalidate_cache()
        names = (Path(each).name for each in self._files.find(self._folder))
        self._known = {name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)}
        self._checked: set[str] = set()
        if description is not None:
            content = json.dumps(description, indent=2, sort_keys=True).encode()
            self._write(f"{self._folder}/{DESCRIPTION}", content)

    def __contains__(self, clip_sha256: str) -> bool:
        """Whether the clip's embedding is cached and undamaged; warns of one that is damaged."""
        with suppress(KeyError):
            return clip_sha256 in self._checked or bool(self.get(clip_sha256))
        return False

    def __iter__(self) -> Iterator[str]:
        """Iterate over the digests of the cached clips, be they damaged."""
        return iter(self._known)

    def get(self, clip_sha256: str) -> Embedding:
        """Return one clip's embedding; raises `KeyError` when it is not cached, or damaged."""
        if clip_sha256 not in self._known:
            raise KeyError(f"clip {clip_sha256} is not in the embedding cache {self._folder}")
        path = self._path(clip_sha256)
        try:
            with explaining(
                f"{path} in the embedding cache cannot be read",
                "give read access, or set ERI_CACHE to another folder",
            ):
                content = self._files.cat_file(path)
            embedding = unpack(clip_sha256, content, check=clip_sha256 not in self._checked)
        except FileNotFoundError:  # removed meanwhile
            self._known.discard(clip_sha256)
            raise KeyError(f"{path} was removed from the embedding cache: start again") from None
        except DamagedError as error:
            message = f"embedding cache: {path} is damaged ({error}). It is computed again"
            warnings.warn(message, stacklevel=2)
            self._known.discard(clip_sha256)
            with suppress(FileNotFoundError):  # another run was quicker
                self._files.rm(path)
            raise KeyError(f"{path} was damaged") from error
        self._checked.add(clip_sha256)
        return embedding

    def put(self, clip_sha256: str, embedding: Embedding) -> None:
        """Write one clip's embedding, unless there is one already: the first one stays."""
        path = self._path(clip_sha256)
        if not self._files.exists(path):
            self._write(path, pack(clip_sha256, embedding))
        self._known.add(clip_sha256)

    def _path(self, clip_sha256: str) -> str:
        return f"{self._folder}/{clip_sha256[:2]}/{clip_sha256}{SUFFIX}"

    def _write(self, path: str, content: bytes) -> None:
        """Write a file whole or not at all, and leave nothing else."""
        with explaining(
            f"the embedding cache {self._folder} cannot be written",
            "make room or give write access, or set ERI_CACHE to another folder",
        ):
            if not isinstance(self._files, LocalFileSystem):
                self._files.pipe_file(path, content)  # object stores show it when it is whole
                return
            beside = Path(f"{path}.{uuid.uuid4().hex}{UNFINISHED}")
            beside.parent.mkdir(parents=True, exist_ok=True)
            try:
                beside.write_bytes(content)
                beside.replace(path)
            finally:
                beside.unlink(missing_ok=True)


def pack(clip_sha256: str, embedding: Embedding) -> bytes:
    """Return an embedding as the bytes of a safetensors file, with a digest of all of them."""
    said = {"digest": _NO_DIGEST, "clip_sha256": clip_sha256, "face_share": embedding.face_share}
    columns = {name: getattr(embedding, name) for name in _COLUMNS}
    arrays = {k: np.ascontiguousarray(each) for k, each in columns.items() if each is not None}
    content = save(arrays, {_METADATA_KEY: json.dumps(said)})
    digest = hashlib.sha256(content).hexdigest()
    return content.replace(_NO_DIGEST.encode(), digest.encode(), 1)


def unpack(clip_sha256: str, content: bytes, *, check: bool = True) -> Embedding:
    """Return the embedding that was packed; `check` compares the digest, which once is enough.

    Raises
    ------
    DamagedError
        When a single bit is another than `pack` wrote, or it is another clip's.
    """
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        said = json.loads(header["__metadata__"][_METADATA_KEY])
        if said["clip_sha256"] != clip_sha256:
            raise DamagedError("it holds another clip")
        if check:
            packed = content.replace(said["digest"].encode(), _NO_DIGEST.encode(), 1)
            if hashlib.sha256(packed).hexdigest() != said["digest"]:
                raise DamagedError("its digest differs")
        arrays = load(content)
        return Embedding(face_share=said["face_share"], **arrays)
    except DamagedError:
        raise
    except Exception as error:  # damaged bytes can fail in any way
        raise DamagedError(f"it is no embedding: {error}") from error
