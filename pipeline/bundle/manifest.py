"""Folders of files that vouch for each other: a manifest with every file's size and SHA-256.

Nothing is parsed before its digest was checked, and what was checked is what is parsed: a file is
read once. The manifest vouches for itself too, so a single changed byte anywhere is found.
"""

import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from features.files import file_sha256

MANIFEST = "manifest.json"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)+")
_MOST_MANIFEST_BYTES = 16 * 2**20


class BundleError(Exception):
    """A bundle that is missing, damaged, of another version, or cannot be made."""


@contextmanager
def new_folder(folder: Path, header: Mapping[str, Any]) -> Iterator[Path]:
    """Give a folder to write files into; with a manifest, it takes its place when all is done.

    Parameters
    ----------
    folder : Path
        Where it shall be. A folder with a manifest there is replaced.
    header : mapping
        What the manifest says beside its files: ``protocol`` and more, JSON-serialisable.

    Raises
    ------
    BundleError
        When something else is there.
    OSError
        When it cannot be written; what was there stays.
    """
    if folder.exists() and not (folder / MANIFEST).is_file():
        raise BundleError(f"{folder} is there and no bundle, so it is not overwritten: remove it")
    beside, old = (folder.with_name(f".{folder.name}.{word}") for word in ("part", "old"))
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        yield beside
        files = {
            path.name: {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
            for path in sorted(beside.iterdir())
        }
        (beside / MANIFEST).write_bytes(_manifest_bytes({**header, "files": files}))
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.replace(old)
        try:
            beside.replace(folder)
        except OSError:
            if old.exists():
                old.replace(folder)
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


class SealedFolder:
    """A folder whose manifest was checked; its files are checked when they are read.

    Parameters
    ----------
    folder : Path
        From `new_folder`.
    protocols : mapping of int to str
        The protocols that can be read, each with the first version of eri that writes it.

    Attributes
    ----------
    folder : Path
        Where it is.
    names : list of str
        Its files, but for the manifest.

    Raises
    ------
    BundleError
        When there is no such folder, its manifest was changed or is of another protocol, or a file
        is missing, has another size, is a link, or is not in the manifest.
    """

    def __init__(self, folder: Path, protocols: Mapping[int, str]) -> None:
        self.folder = folder
        path = folder / MANIFEST
        if not path.exists() and not path.is_symlink():
            raise BundleError(
                f"there is no bundle {folder} ({MANIFEST} is missing): run `dvc repro`, which "
                "writes results/bundle"
            )
        content = self._parsed(self._bytes(MANIFEST, _MOST_MANIFEST_BYTES), protocols)
        self._files = self._listed(content)
        self.names = list(self._files)
        there = {each.name for each in folder.iterdir()} - {MANIFEST}
        for name in sorted(there - set(self.names)):
            raise BundleError(f"{folder / name} does not belong to the bundle: remove it")
        for name in sorted(set(self.names) - there):
            raise BundleError(f"{folder / name} is missing: copy the bundle anew")

    def read(self, name: str) -> bytes:
        """Return the bytes of a file; raises BundleError when they were changed."""
        if name not in self._files:
            raise BundleError(f"{self.folder / MANIFEST} lists no {name}: copy the bundle anew")
        size, expected = self._files[name]
        content = self._bytes(name, size)
        if len(content) != size or _digest(content) != expected:
            raise BundleError(f"{self.folder / name} was changed: copy the bundle anew")
        return content

    def _bytes(self, name: str, most: int) -> bytes:
        """Read a plain file of at most so many bytes."""
        path = self.folder / name
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

    def _parsed(self, raw: bytes, protocols: Mapping[int, str]) -> dict[str, Any]:
        path = self.folder / MANIFEST
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
        return content

    def _listed(self, content: Mapping[str, Any]) -> dict[str, tuple[int, str]]:
        path, files = self.folder / MANIFEST, content.get("files")
        if not isinstance(files, dict):
            raise BundleError(f"{path} lists no files: copy the bundle anew")
        listed = {}
        for name, entry in files.items():
            if not _NAME.fullmatch(name) or name == MANIFEST:
                raise BundleError(f"{path} lists {name[:80]!r}, which is no name of a file in it")
            if (
                not isinstance(entry, dict)
                or type(entry.get("bytes")) is not int
                or entry["bytes"] < 0
                or not isinstance(entry.get("sha256"), str)
            ):
                raise BundleError(f"{path} does not say what {name} is: copy the bundle anew")
            listed[name] = entry["bytes"], entry["sha256"]
        return listed


def _manifest_bytes(content: Mapping[str, Any]) -> bytes:
    """Write a manifest in the one way there is: other bytes are a changed one."""
    sealed = {**content, "sha256": _digest(json.dumps(content, sort_keys=True).encode())}
    return json.dumps(sealed, sort_keys=True, indent=1).encode() + b"\n"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
