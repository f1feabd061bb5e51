"""Folders and object stores by their address, as fsspec opens them, with a little patience.

Stores answer slowly, with errors, or not at all: a call is tried again a few times, then its error
is an `OSError`. What is wrong with the call itself, such as a file that is not there, is said at
once. Credentials come from the usual places of each store, and are no part of an address.
"""

import errno
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import fsspec
from fsspec.implementations.local import LocalFileSystem

_N_TRIES = 5
_FIRST_PAUSE_S = 0.2
_PATIENCE_S = 60.0  # a try may take minutes by itself: libraries of stores try again, too

_FINAL = (FileNotFoundError, FileExistsError, PermissionError, NotADirectoryError)


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

        def patient(*arguments: Any, **options: Any) -> Any:
            for is_last in self.tries():
                try:
                    return method(*arguments, **options)
                except _FINAL:
                    raise
                except Exception as error:  # each store has errors of its own
                    if self.is_local:
                        raise
                    if is_last:
                        said = f"{type(error).__name__}: {error}"
                        raise OSError(getattr(error, "errno", None) or errno.EIO, said) from error
            raise AssertionError("there is a last try")

        return patient

    def tries(self) -> Iterator[bool]:
        """Pause between tries; yields whether it is the last one. A local folder has one."""
        began_s = time.monotonic()
        for number in range(_N_TRIES):
            is_late = time.monotonic() - began_s > _PATIENCE_S
            is_last = self.is_local or is_late or number == _N_TRIES - 1
            yield is_last
            if is_last:
                return
            time.sleep(_FIRST_PAUSE_S * 2**number)


def open_place(root: Path | str) -> tuple[Files, str]:
    """Open a folder, or an address such as ``s3://bucket/folder``.

    Returns
    -------
    files : Files
        Its file system.
    path : str
        The place within it.

    Raises
    ------
    OSError
        When no installed package opens such an address, or it holds credentials.
    """
    address = str(root)
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
