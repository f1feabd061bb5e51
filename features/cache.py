"""Embeddings kept for good, found again by what they are: shared by runs, machines and people.

Each embedding is an object of its own, ``<root>/<identity>/ab/abcd….safetensors``, named by the
digest of the clip's bytes and never changed: any number of runs may read and write at once, without
a lock. ``<root>/<identity>/encoder.json`` says what made them; its time of change is that of last
use, and `prune_cache` goes by it. The root is a folder, or any place that fsspec opens by an
address, such as an object store.
"""

import hashlib
import json
import os
import re
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from features.files import explaining
from features.places import UNFINISHED, open_place

_DESCRIPTION = "encoder.json"
_SUFFIX = ".safetensors"
_METADATA_KEY = "eri"
_NO_DIGEST = "-" * 64
_COLUMNS = ("time_s", "values", "track", "face_score")
_ADVICE = "make room and give read and write access, or set ERI_CACHE to another place"
_N_AT_ONCE = 32  # requests that an object store answers side by side
_DAY_S = 86_400
_IDENTITY = re.compile("[0-9a-f]{32}")
_OBJECT = re.compile(rf".*/{_IDENTITY.pattern}/[0-9a-f]{{2}}/[0-9a-f]{{64}}\{_SUFFIX}")
_LEFT_OVER = re.compile(rf".*/{_IDENTITY.pattern}/.*\{UNFINISHED}")


def default_cache_root() -> str:
    """Return ``$ERI_CACHE``, a folder or an address such as ``s3://…``; default ``.eri-cache``."""
    said = os.environ.get("ERI_CACHE") or ".eri-cache"
    return said if "://" in said else str(Path(said).expanduser())


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


class LostError(Exception):
    """An embedding that was cached and is no more: it has to be computed again."""


class EmbeddingCache:
    """The cached embeddings of one encoder identity, by the SHA-256 of the clips' bytes.

    What other runs put there after this object was first asked for what is `known` is not seen. An
    `OSError` that it raises names the cache and ``ERI_CACHE``.

    Parameters
    ----------
    root : Path or str
        The cache of all encoders: a folder, or an address such as ``s3://bucket/cache``.
    identity : str
        As `features.identity.encoder_identity` gives it.
    description : mapping, optional
        What the identity stands for, JSON-serialisable. It is written at once, which counts as use.
        Without it nothing is written until `put`.
    """

    def __init__(
        self, root: Path | str, identity: str, description: Mapping[str, Any] | None = None
    ) -> None:
        self._files, path = open_place(root)
        self._folder = f"{path}/{identity}"
        if description is not None:
            content = json.dumps(description, indent=2, sort_keys=True).encode()
            with self._explaining():
                self._files.write(f"{self._folder}/{_DESCRIPTION}", content, replace=True)

    @cached_property
    def known(self) -> set[str]:
        """The digests of the cached clips, be they damaged, as `get` finds out; add new ones.

        They are listed when they are first asked for: 256 folders, several at once.
        """
        with ThreadPoolExecutor(_N_AT_ONCE) as pool, self._explaining():
            folders = [f"{self._folder}/{each}" for each in self._files.names(self._folder)]
            names = chain.from_iterable(pool.map(self._files.names, folders))
            return {name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)}

    def get(self, clip_sha256: str) -> Embedding:
        """Return one clip's embedding.

        It is a LostError when it is not cached, or no more; what is damaged is named, and removed.
        """
        path = _object(self._folder, clip_sha256)
        try:
            with self._explaining():  # a store gives half an object now and then
                return self._files.again(
                    lambda: unpack(clip_sha256, self._files.read(path)), DamagedError
                )
        except FileNotFoundError:
            self.known.discard(clip_sha256)
            raise LostError(f"there is no {path} in the embedding cache") from None
        except DamagedError as damage:
            message = f"embedding cache: {path} is damaged ({damage}). It is computed again"
            warnings.warn(message, stacklevel=2)
            self.known.discard(clip_sha256)
            with suppress(FileNotFoundError), self._explaining():
                self._files.rm_file(path)  # unless another run was quicker
            raise LostError(f"{path} was damaged ({damage})") from damage

    def get_all(self, clip_sha256s: Iterable[str]) -> Iterator[Embedding]:
        """Yield embeddings as `get`, in order; an object store is asked for several at once."""
        if self._files.is_local:
            yield from map(self.get, clip_sha256s)
            return
        asked = iter(clip_sha256s)
        with ThreadPoolExecutor(_N_AT_ONCE) as pool:
            while some := [*islice(asked, 2 * _N_AT_ONCE)]:  # not all: memory holds them
                yield from pool.map(self.get, some)

    def put(self, clip_sha256: str, embedding: Embedding) -> None:
        """Write one clip's embedding, unless there is one already: the first one stays."""
        path, content = _object(self._folder, clip_sha256), pack(clip_sha256, embedding)
        with suppress(FileExistsError), self._explaining():
            self._files.write(path, content, replace=False)
        if "known" in vars(self):  # else it is listed with this one, when somebody asks
            self.known.add(clip_sha256)

    def _explaining(self) -> AbstractContextManager[None]:
        return explaining(f"the embedding cache {self._folder} cannot be used", _ADVICE)


def pack(clip_sha256: str, embedding: Embedding) -> bytes:
    """Return an embedding as the bytes of a safetensors file, with a digest of all of them."""
    said = {"digest": _NO_DIGEST, "clip_sha256": clip_sha256, "face_share": embedding.face_share}
    columns = {name: getattr(embedding, name) for name in _COLUMNS}
    arrays = {k: np.ascontiguousarray(each) for k, each in columns.items() if each is not None}
    content = save(arrays, {_METADATA_KEY: json.dumps(said)})
    digest = hashlib.sha256(content).hexdigest()
    return content.replace(_NO_DIGEST.encode(), digest.encode(), 1)


def unpack(clip_sha256: str, content: bytes) -> Embedding:
    """Return the embedding that was packed.

    It is a DamagedError when a single bit is another than `pack` wrote, or it is another clip's.
    """
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        said = json.loads(header["__metadata__"][_METADATA_KEY])
        packed = content.replace(said["digest"].encode(), _NO_DIGEST.encode(), 1)
        if hashlib.sha256(packed).hexdigest() != said["digest"]:
            raise ValueError("its digest differs")
        if said["clip_sha256"] != clip_sha256:
            raise ValueError("it holds another clip")
        return Embedding(face_share=said["face_share"], **load(content))
    except Exception as error:  # damaged bytes can fail in any way
        raise DamagedError(f"it is no embedding of this clip: {error}") from error


def list_cache(root: Path | str) -> list[dict[str, Any]]:
    """List the identities in a cache, the last used first; what else lies there is not ours.

    Returns
    -------
    list of dict
        ``identity`` (the folder's name), ``description`` (spec, weights digest and sampling; empty
        when the folder does not say), ``n_clips``, ``n_bytes``, and ``unused_days`` since a run
        opened it.
    """
    files, path = open_place(root)
    entries: list[dict[str, Any]] = []
    for identity in filter(_IDENTITY.fullmatch, files.names(path)):
        folder = f"{path}/{identity}"
        with suppress(FileNotFoundError, NotADirectoryError):  # pruned meanwhile, or not ours
            unused_s = time.time() - files.modified(f"{folder}/{_DESCRIPTION}").timestamp()
            description = {}
            with suppress(ValueError):  # cut short by a power failure: embeddings are checked
                description = json.loads(files.read(f"{folder}/{_DESCRIPTION}"))
            sizes = {name: each["size"] for name, each in files.find(folder, detail=True).items()}
            entries.append(
                {
                    "identity": identity,
                    "description": description,
                    "n_clips": sum(name.endswith(_SUFFIX) for name in sizes),
                    "n_bytes": sum(sizes.values()),
                    "unused_days": unused_s / _DAY_S,
                }
            )
    return sorted(entries, key=lambda entry: entry["unused_days"])


def verify_cache(root: Path | str) -> Iterator[tuple[str, str | None]]:
    """Read every cached object; yields its path and what is wrong with it, None for nothing."""
    files, path = open_place(root)
    for each in filter(_OBJECT.fullmatch, files.find(path)):
        with suppress(FileNotFoundError):  # pruned meanwhile
            try:
                unpack(Path(each).stem, files.read(each))
                damage = None
            except DamagedError as error:
                damage = str(error)
            yield each, damage


def prune_cache(root: Path | str, unused_for_days: float) -> tuple[list[str], int]:
    """Remove the identities that no run used lately, and damage in the others.

    A run that uses at this moment what is removed has to be started again. Returns what was
    removed, identities and paths of damaged objects, and how many bytes it was.
    """
    files, path = open_place(root)
    unused = [each for each in list_cache(root) if each["unused_days"] >= unused_for_days]
    for entry in unused:
        files.rm(f"{path}/{entry['identity']}", recursive=True)
    damaged = {each: files.size(each) for each, damage in verify_cache(root) if damage is not None}
    left_over = filter(_LEFT_OVER.fullmatch, files.find(path))
    old = [each for each in left_over if time.time() - files.modified(each).timestamp() > _DAY_S]
    for each in (*damaged, *old):
        files.rm(each)
    n_bytes = sum(entry["n_bytes"] for entry in unused) + sum(damaged.values())
    return [*(entry["identity"] for entry in unused), *damaged], n_bytes


def seed_cache(store: Path, root: Path | str) -> int:
    """Fill a cache from a feature store, for example one that ``dvc pull`` brought.

    Returns how many clips the cache did not hold yet. It is a StoreError when the store does not
    say what made it, or which bytes its clips have.
    """
    from features.store import StoreError, stored_clips  # which hold embeddings: it imports this

    n_new, cache = 0, None
    for metadata, clips in stored_clips(store):
        objects = [_object(f"/{metadata.get('identity')}", clip.sha256) for clip in clips]
        if "spec" not in metadata or not all(map(_OBJECT.fullmatch, objects)):
            raise StoreError(f"{store} does not say what made it of which clips: extract it anew")
        description = {k: metadata[k] for k in metadata if k not in ("versions", "level")}
        cache = cache or EmbeddingCache(root, metadata["identity"], description)
        n_new += len({clip.sha256 for clip in clips} - cache.known)
        for clip in clips:
            cache.put(clip.sha256, clip.embedding)
    return n_new


def _object(folder: str, clip_sha256: str) -> str:
    return f"{folder}/{clip_sha256[:2]}/{clip_sha256}{_SUFFIX}"
