"""Media files on object stores: fetched where they are read, and kept there for a while.

``eri-media-<user>`` in the folder for temporary files (``TMPDIR``) holds what was fetched, 10 GiB
and what is in use; what nobody has used for longest goes first.
"""

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from features.cache import default_cache_root
from features.errors import MediaError
from features.files import remove_unused, replacing_file
from features.places import Files, PlaceError, address_of, open_place

FETCH_LIMIT_S = 900.0  # with all tries: a worker that fetches asks for so much patience
MOST_BYTES = 10 * 2**30  # of the folder of what was fetched
_IN_USE_DAYS = 1 / 144  # whoever reads a file began to in the last ten minutes


def local_file(path: Path) -> Path:
    """Return a file of this machine with the bytes that lie at a path.

    Parameters
    ----------
    path : Path
        A file, which is returned as it is; or an address, see `features.places`.

    Raises
    ------
    MediaError
        Step ``read``, when nothing lies at the address, or nobody may read it.
    PlaceError
        When the store does not answer, or gives parts of the file only.
    """
    address = address_of(path)
    if address is None:
        return path
    folder = Path(tempfile.gettempdir(), f"eri-media-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    with _saying(address):
        files, where = open_place(address)
        info = files.info(where)
        kept = folder / f"{_version(address, info)}{path.suffix[:16]}"
        try:
            os.utime(kept)
        except FileNotFoundError:
            with replacing_file(kept) as beside:
                files.again(partial(_fetch, files, where, info["size"], beside), EOFError)
            remove_unused(folder, _IN_USE_DAYS, MOST_BYTES)
    return kept


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
    found = examine(local_file(path))
    cache.write(record, json.dumps(found).encode(), replace=True)
    return found


@contextmanager
def _saying(address: str) -> Iterator[None]:
    """Say which object cannot be had, and whether it is its own fault."""
    try:
        yield
    except (FileNotFoundError, PermissionError):
        raise MediaError("read", f"{address} is not there, or may not be read") from None
    except (PlaceError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PlaceError(errno.EIO, f"{address} cannot be read ({reason})") from error


def _version(address: str, info: dict[str, Any]) -> str:
    """Name an object as it is now, by all that its store says of it."""
    said = sorted((key, str(value)) for key, value in info.items())
    return hashlib.sha256(repr((address, said)).encode()).hexdigest()


def _fetch(files: Files, where: str, n_bytes: int | None, file: Path) -> None:
    """Fetch an object; half of one is an EOFError."""
    files.get_file(where, str(file))
    n_came = file.stat().st_size
    if n_bytes not in (None, n_came):
        raise EOFError(f"{n_came} of {n_bytes} bytes came")
