"""Media files on object stores: fetched where they are read, and kept there for a while.

``eri-media-<user>`` in the folder for temporary files (``TMPDIR``) holds what was fetched, 10 GiB
at most; what nobody has used for longest goes first.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from features.cache import default_cache_root
from features.errors import MediaError
from features.places import Files, PlaceError, address_of, open_place

FETCH_LIMIT_S = 900.0
"""What fetching may take, with all its tries: a worker that fetches asks for so much patience."""

MOST_BYTES = 10 * 2**30
"""Of the folder of what was fetched."""

_DAY_S = 86400


@contextmanager
def local_file(path: Path) -> Iterator[Path]:
    """Give a file of this machine with the bytes that lie at a path, as long as the block lasts.

    Parameters
    ----------
    path : Path
        A file, which is given as it is; or an address, see `features.places`.

    Raises
    ------
    MediaError
        Step ``read``, when nothing lies at the address, or nobody may read it.
    PlaceError
        When the store does not answer, or gives parts of the file only.
    """
    address = address_of(path)
    if address is None:
        yield path
        return
    folder = Path(tempfile.gettempdir(), f"eri-media-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    with _saying(address), tempfile.TemporaryDirectory(dir=folder) as own:
        files, where = open_place(address)
        info = files.info(where)
        kept, file = folder / _version(address, info), Path(own, path.name)
        try:  # a link of our own, since another process may remove what is kept
            os.link(kept, file)
            os.utime(kept)
        except FileNotFoundError:
            _fetch(files, where, info["size"], file)
            with suppress(FileExistsError):
                os.link(file, kept)
            _make_room(folder)
        yield file


def examine_once(path: Path, examine: Callable[[Path], dict[str, object]]) -> dict[str, object]:
    """Examine a media file; what was found in one on an object store is kept in the cache.

    As long as size, time and tag of the object stay, it is not fetched for it again.
    """
    address = address_of(path)
    if address is None:
        return examine(path)
    with _saying(address):
        files, where = open_place(address)
        version = _version(address, files.info(where))
    cache, root = open_place(default_cache_root())
    record = f"{root}/media/{version[:2]}/{version}.json"
    with suppress(FileNotFoundError, ValueError):  # of half a record
        known: dict[str, object] = json.loads(cache.read(record))
        return known
    with local_file(path) as file:
        found = examine(file)
    cache.write(record, json.dumps(found).encode(), replace=True)
    return found


@contextmanager
def _saying(address: str) -> Iterator[None]:
    """Say which object cannot be had, and whether it is its own fault."""
    try:
        yield
    except (FileNotFoundError, PermissionError) as error:
        what = "may not be read" if isinstance(error, PermissionError) else "is not there"
        raise MediaError("read", f"{address} {what}") from None
    except PlaceError as error:
        raise PlaceError(error.errno, f"{address} cannot be read ({error.strerror})") from error


def _version(address: str, info: dict[str, Any]) -> str:
    """Name an object as it is now, by all that its store says of it."""
    said = sorted((key, str(value)) for key, value in info.items())
    return hashlib.sha256(repr((address, said)).encode()).hexdigest()


def _fetch(files: Files, where: str, n_bytes: int | None, file: Path) -> None:
    """Fetch a whole object; half of one is asked for again."""
    for is_last in files.tries():
        files.get_file(where, str(file))
        n_came = file.stat().st_size
        if n_bytes in (None, n_came):
            return
        if is_last:
            raise PlaceError(errno.EIO, f"{n_came} of {n_bytes} bytes came")


def _make_room(folder: Path) -> None:
    """Remove what was used longest ago, and what processes that were killed have left behind."""
    kept, n_bytes = [], 0
    for each in os.scandir(folder):
        with suppress(FileNotFoundError):  # another process is at it
            stat = each.stat()
            if each.is_file():
                kept.append((stat.st_mtime, stat.st_size, each.path))
                n_bytes += stat.st_size
            elif stat.st_mtime < time.time() - _DAY_S:
                shutil.rmtree(each.path, ignore_errors=True)
    for _, size, path in sorted(kept):
        if n_bytes <= MOST_BYTES:
            return
        Path(path).unlink(missing_ok=True)
        n_bytes -= size
