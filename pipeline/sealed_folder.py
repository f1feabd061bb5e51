"""Folders of files that vouch for each other: a manifest with every file's size and SHA-256.

Nothing is parsed before its digest was checked, and what was checked is what is parsed: a file is
read once. The manifest vouches for itself too, so a single changed byte anywhere is found.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StringConstraints, ValidationError

from features.files import file_sha256, replacing_folder

MANIFEST = "manifest.json"

_MOST_MANIFEST_BYTES = 16 * 2**20
_NAME = r"\A(?!manifest\.json\Z)[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)+\Z"


class BundleError(Exception):
    """A bundle that is missing, damaged, of another version, or cannot be made."""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", regex_engine="python-re")

    bytes: StrictInt = Field(ge=0)
    sha256: Annotated[str, StringConstraints(pattern=r"\A[0-9a-f]{64}\Z")]


class _Manifest(BaseModel):
    """All of a manifest. File names have an ending and lead nowhere else."""

    model_config = ConfigDict(extra="forbid", regex_engine="python-re")

    protocol: StrictInt
    eri: str
    versions: dict[str, str]
    files: dict[Annotated[str, StringConstraints(pattern=_NAME)], _File]


@contextmanager
def new_sealed_folder(
    folder: Path, protocol: int, eri: str, versions: Mapping[str, str]
) -> Iterator[Path]:
    """Give a folder to write files into; with a manifest, it takes its place when all is done.

    Parameters
    ----------
    folder : Path
        Where it shall be. A folder with a manifest there is replaced.
    protocol : int
        Number of the form of its files.
    eri : str
        The version that writes them.
    versions : mapping of str to str
        Libraries that have to be of these versions when the files are read.

    Raises
    ------
    BundleError
        When something else is there.
    OSError
        When it cannot be written; what was there stays.
    """
    if folder.exists() and not (folder / MANIFEST).is_file():
        raise BundleError(f"{folder} is there and no bundle, so it is not overwritten: remove it")
    with replacing_folder(folder) as beside:
        yield beside
        files = {
            path.name: {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
            for path in sorted(beside.iterdir())
        }
        content = {"protocol": protocol, "eri": eri, "versions": dict(versions), "files": files}
        (beside / MANIFEST).write_bytes(_manifest_bytes(content))


class SealedFolder:
    """A folder whose manifest was checked; its files are checked when they are read.

    Parameters
    ----------
    folder : Path
        From `new_sealed_folder`.
    protocols : mapping of int to str
        The protocols that can be read, each with the first version of eri that writes it.

    Attributes
    ----------
    names : list of str
        Its files, but for the manifest.
    versions : dict of str to str
        Libraries that have to be of these versions.

    Raises
    ------
    BundleError
        When there is no such folder, its manifest was changed or is of another protocol, or a file
        is missing, has another size, is a link, or is not in the manifest.
    """

    def __init__(self, folder: Path, protocols: Mapping[int, str]) -> None:
        self._folder = folder
        path = folder / MANIFEST
        if not path.exists() and not path.is_symlink():
            raise BundleError(
                f"there is no bundle {folder} ({MANIFEST} is missing): run `dvc repro`, which "
                "writes results/bundle"
            )
        manifest = _parse(path, _read_plain(path, _MOST_MANIFEST_BYTES), protocols)
        self._files, self.versions = manifest.files, manifest.versions
        self.names = list(self._files)
        there = {each.name for each in folder.iterdir()} - {MANIFEST}
        for name in sorted(there.symmetric_difference(self.names)):
            what = "does not belong to the bundle: remove it"
            raise BundleError(f"{folder / name} {what if name in there else 'is missing'}")

    def read(self, name: str) -> bytes:
        """Return the bytes of a file; raises BundleError when they were changed."""
        path, entry = self._folder / name, self._files.get(name)
        if entry is None:
            raise BundleError(f"{self._folder / MANIFEST} lists no {name}: copy the bundle anew")
        content = _read_plain(path, entry.bytes)
        if len(content) != entry.bytes or _digest(content) != entry.sha256:
            raise BundleError(f"{path} was changed: copy the bundle anew")
        return content


def _read_plain(path: Path, most: int) -> bytes:
    """Read a plain file of at most so many bytes."""
    # Opened before it is looked at, so that nothing can take its place in between; a named pipe
    # would otherwise wait for ever.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        if path.is_symlink():
            raise BundleError(f"{path} is a link, expected a file: copy what it leads to")
        with os.fdopen(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise BundleError(f"{path} is no plain file: copy the bundle anew")
            if found.st_size > most:
                raise BundleError(f"{path} was changed: copy the bundle anew")
            return file.read(found.st_size)
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}") from error


def _parse(path: Path, raw: bytes, protocols: Mapping[int, str]) -> _Manifest:
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise BundleError(f"{path} is no manifest: copy the bundle anew")
    protocol = content.get("protocol")
    if type(protocol) is not int or protocol not in protocols:
        known = ", ".join(f"{number} (since {since})" for number, since in protocols.items())
        raise BundleError(
            f"{path} is of protocol {str(protocol)[:40]}, written by eri "
            f"{str(content.get('eri'))[:40]}: this version reads protocol {known}. Install "
            "that version or a later one, or write the bundle anew"
        )
    content.pop("sha256", None)
    if _manifest_bytes(content) != raw:
        raise BundleError(f"{path} was changed: copy the bundle anew")
    try:
        return _Manifest.model_validate(content)
    except ValidationError as error:
        told = " ".join(str(error).split())[:300]
        raise BundleError(f"{path} is not what eri writes: {told}. Copy the bundle anew") from error


def _manifest_bytes(content: Mapping[str, Any]) -> bytes:
    """Write a manifest in the one way there is: other bytes are a changed one."""
    sealed = {**content, "sha256": _digest(json.dumps(content, sort_keys=True).encode())}
    return json.dumps(sealed, sort_keys=True, indent=1).encode() + b"\n"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
