"""Files and folders that are replaced whole, and digests of files.

A reader, or a kill at any moment, never meets half of a file or folder: what is new is written
beside its place and then renamed. Processes that replace the same file or folder take turns.
"""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from stat import S_ISDIR, S_ISREG

_RECENT_NS = 2 * 10**9
"""A second change within the clock's grain would leave a file's time of change as it is."""

_LONGEST_NAME_BYTES = 240
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_DIGEST_NAME = re.compile(r"(\..*\.)?[0-9a-f]{32}.*")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, 64 hexadecimal digits.

    A file that has neither changed since the last call nor within the last two seconds is not read
    again; one that cannot be read is an OSError.
    """
    stat = path.stat()
    if not S_ISREG(stat.st_mode) and not S_ISDIR(stat.st_mode):  # a pipe would be waited for
        raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, and no file", str(path))
    now_ns = time.time_ns()
    is_recent = now_ns - stat.st_mtime_ns < _RECENT_NS
    state = stat.st_ino, stat.st_size, stat.st_mtime_ns, now_ns if is_recent else 0
    return _sha256(path.resolve(), state)


def is_lfs_pointer(path: Path) -> bool:
    """Whether a file is what Git LFS leaves in its place until it is fetched."""
    with path.open("rb") as file:
        return file.read(len(_LFS_POINTER)) == _LFS_POINTER


def known_stand_in(path: Path) -> str | None:
    """Say what a file is that is often found in the place of a clip, or of weights; else None."""
    with suppress(OSError), path.open("rb") as file:
        head = file.read(4096)
        start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        if not head:
            return "the file is empty: copy or download it again"
        if head.startswith(_LFS_POINTER):
            return "the file is a Git LFS pointer: fetch its content with `git lfs pull`"
        if start.startswith((b"<!doctype html", b"<html")):
            return "the file is a web page: the download was refused, or needs a login"
        if not head.strip(b"\0"):
            return "the file begins with zeros only: its download or copy was cut off"
        if head[4:8] == b"ftyp":
            return "its index is missing or damaged: the recording or download was cut off"
    return None


@contextmanager
def explaining(what: str, advice: str) -> Iterator[None]:
    """Say in an `OSError` of the block what it means, and what to do."""
    try:
        yield
    except OSError as error:
        message = f"{what} ({error.strerror or error}): {advice}"
        raise type(error)(error.errno, message) from error


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Replace a file when the block has ended without an error; else an old one stays as it was.

    Another process that replaces the same file waits, and then replaces it. A folder that is
    missing is made. Yields where to write: beside the old file, with the same suffix.
    """
    beside = _beside(path, "part")
    with _sole_writer(path):
        try:
            yield beside
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Replace a folder, with all that is in it, as `replacing_file` replaces a file.

    An old folder that a run had moved away when it was killed is put back first. Yields an empty
    folder to write to, beside the old one.
    """
    folder = folder.resolve()  # a linked one stays a link
    beside, old = _beside(folder, "part"), _beside(folder, "old")
    with _sole_writer(folder):
        _put_back(old, folder)
        shutil.rmtree(beside, ignore_errors=True)
        try:
            beside.mkdir()
            yield beside
            if folder.exists():
                shutil.rmtree(old, ignore_errors=True)
                folder.replace(old)
            beside.replace(folder)
        finally:
            _put_back(old, folder)
            shutil.rmtree(old, ignore_errors=True)
            shutil.rmtree(beside, ignore_errors=True)


def remove_unused(folder: Path, for_days: float, max_bytes: int = 0) -> tuple[int, int]:
    """Remove files of a folder, the least recently used first; return how many, and their bytes.

    Only files that are named by a digest: of others in such a folder nobody said that they can go.
    What was used in the last `for_days` stays, and so does the rest once all of them take no
    more than `max_bytes`. A file that cannot be removed is an OSError.
    """
    files = []
    for path in folder.glob("*"):
        if not _DIGEST_NAME.fullmatch(path.name):
            continue
        with suppress(OSError):  # another process removed it
            stat = path.stat()
            files.append((stat.st_mtime, stat.st_size, path))
    left = sum(size for _, size, _ in files)
    last_s, n_files, n_bytes = time.time() - 86400 * for_days, 0, 0
    for used_s, size, path in sorted(files):
        if left - n_bytes <= max_bytes or used_s > last_s:
            break
        path.unlink(missing_ok=True)
        n_files, n_bytes = n_files + 1, n_bytes + size
    return n_files, n_bytes


def _put_back(old: Path, folder: Path) -> None:
    if old.exists() and not folder.exists():
        old.replace(folder)


def _beside(path: Path, what: str) -> Path:
    """Name a hidden neighbour; names of 255 bytes leave no room for a word more."""
    name = path.name
    if len(os.fsencode(name)) > _LONGEST_NAME_BYTES:
        name = hashlib.sha256(os.fsencode(name)).hexdigest() + path.suffix[:16]
    return path.with_name(f".{what}.{name}")


@contextmanager
def _sole_writer(path: Path) -> Iterator[None]:
    """Wait until no other process replaces `path`; leaves no lock file behind."""
    lock = _beside(path, "lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    is_mine = False
    while not is_mine:
        with lock.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):  # whoever was waited for has removed it
                is_mine = os.path.samestat(os.fstat(file.fileno()), lock.stat())
            if is_mine:
                try:
                    yield
                finally:
                    lock.unlink(missing_ok=True)


@lru_cache(maxsize=256)
def _sha256(path: Path, _state: tuple[int, ...]) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
