"""Folders and object stores by their address, as fsspec opens them, with a little patience.

Stores answer slowly, with errors, or not at all: a call has a time limit and is tried again a few
times, then its error is a `PlaceError`. What is wrong with the call itself, such as a file that is
not there, is said at once. Credentials come from the usual places of each store, and are no part of
an address. `pathlib` writes an address with one slash less, ``s3:/bucket/folder``: as such it may
stand wherever a path does, and `address_of` tells.
"""

import errno
import os
import re
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from inspect import iscoroutinefunction
from io import FileIO
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import fsspec
from fsspec.implementations.local import LocalFileSystem

Answer = TypeVar("Answer")

_N_TRIES = 5
_FIRST_PAUSE_S = 0.2
_PATIENCE_S = 60.0
_LIMIT_S = 30.0  # of one try, of which there are three at most that take as long
_LONG_LIMITS_S = {"ls": 120.0, "find": 600.0, "get_file": 300.0}

UNFINISHED = ".part"
"""Ending of files that a run left behind in a folder if it was killed while it wrote."""

_FINAL = (FileNotFoundError, FileExistsError, PermissionError, NotADirectoryError)


class PlaceError(OSError):
    """A store that goes on failing, or does not answer."""


class Files:
    """A file system of fsspec's whose calls are tried again where it is no local folder.

    Attributes
    ----------
    is_local : bool
        Whether it is the disk of this machine, whose errors are final.
    """

    def __init__(self, files: Any) -> None:
        self._files = files
        self.is_local = isinstance(files, LocalFileSystem)

    def __getattr__(self, name: str) -> Any:
        """Return a method of the file system that is tried again."""
        method = getattr(self._files, name)
        limit_s = _LONG_LIMITS_S.get(name, _LIMIT_S)
        can_end = iscoroutinefunction(getattr(method, "__wrapped__", None))  # fsspec waits for it
        limit = {"timeout": limit_s} if can_end else {}

        def patient(*arguments: Any, **options: Any) -> Any:
            try:
                return self.again(lambda: method(*arguments, **options, **limit), Exception)
            except Exception as error:  # each store has errors of its own
                if self.is_local or isinstance(error, _FINAL):
                    raise
                said = f"{type(error).__name__}: {str(error) or f'no answer within {limit_s:g} s'}"
                raise PlaceError(getattr(error, "errno", None) or errno.EIO, said) from error

        return patient

    # Of a local folder, the first two take a tenth of the time that fsspec's own do.
    def read(self, path: str) -> bytes:
        """Return what is in a file."""
        if self.is_local:
            with FileIO(path) as file:
                return file.readall()
        content: bytes = self.cat_file(path)
        return content

    def names(self, folder: str) -> list[str]:
        """List the names of what lies in a folder; nothing lies in one that is not there."""
        with suppress(FileNotFoundError, NotADirectoryError):
            if self.is_local:
                with os.scandir(folder) as entries:
                    return [each.name for each in entries]
            return [each.rpartition("/")[2] for each in self.ls(folder, detail=False)]
        return []

    def write(self, path: str, content: bytes, *, replace: bool) -> None:
        """Write a file whole or not at all; with `replace` false an old one stays as it is."""
        if not self.is_local:  # object stores show it when it is whole
            self.pipe_file(path, content, mode="overwrite" if replace else "create")
            return
        if not replace and Path(path).exists():
            return
        beside = Path(f"{path}.{uuid.uuid4().hex}{UNFINISHED}")
        beside.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_bytes(content)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    def again(self, ask: Callable[[], Answer], fault: type[Exception]) -> Answer:
        """Ask until the answer is no `fault`, a few times, with pauses; once of a local folder."""
        began_s, n_left = time.monotonic(), 1 if self.is_local else _N_TRIES
        while True:
            n_left = 1 if time.monotonic() - began_s > _PATIENCE_S else n_left
            try:
                return ask()
            except fault as error:
                if n_left == 1 or isinstance(error, _FINAL):
                    raise
            time.sleep(_FIRST_PAUSE_S * 2 ** (_N_TRIES - n_left))
            n_left -= 1


def address_of(path: Path) -> str | None:
    """Return the address that a path stands for; None where it is one of this machine.

    >>> address_of(Path("s3://bucket/clips") / "a.mp4"), address_of(Path("clips/a.mp4"))
    ('s3://bucket/clips/a.mp4', None)
    """
    found = re.fullmatch(r"([a-z][a-z0-9+.-]+):/(.+)", path.as_posix())
    return f"{found[1]}://{found[2]}" if found else None


def kind_of(path: Path) -> Literal["file", "folder"] | None:
    """Say what lies at a path or address; None for nothing."""
    files, where = open_place(address_of(path) or path)
    return "folder" if files.isdir(where) else "file" if files.exists(where) else None


def open_place(root: Path | str) -> tuple[Files, str]:
    """Open a folder, or an address such as ``s3://bucket/folder``.

    Returns its file system, and the place within it. It is an OSError when no installed package
    opens such an address, or it holds credentials.
    """
    address = str(root if isinstance(root, str) else address_of(root) or root)
    if "://" not in address:
        return Files(LocalFileSystem()), str(Path(address).absolute())
    protocol, host = urlsplit(address).scheme, urlsplit(address).netloc
    if ":" in host.partition("@")[0] and "@" in host:
        raise OSError(
            errno.EINVAL,
            f"an address of {protocol}:// holds credentials before its `@`: leave them out, and "
            "give them where the store's own tools look for them (environment, files)",
        )
    try:
        files, path = fsspec.core.url_to_fs(address, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        extra = " (for s3://: pip install 'eri[s3]')"
        raise OSError(errno.EINVAL, f"{address} cannot be opened: {error}{extra}") from error
    return Files(files), str(path).rstrip("/")
