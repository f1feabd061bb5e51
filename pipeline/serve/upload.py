"""Receiving one file of a multipart form, straight into a folder and within limits."""

import asyncio
import errno
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from pipeline.files import MEDIA_SUFFIXES
from pipeline.serve.limits import Limits, RefusedError

FIELD = "file"
"""The form's field that holds the clip."""

_MAX_NAME = 200
_RECEIVED = "upload_received"


@dataclass(frozen=True)
class Upload:
    """A file that came in.

    Attributes
    ----------
    path : Path
        Where it is; nothing of this path but its ending comes from outside.
    name : str
        What the client calls it, without folders; only ever shown, never a path.
    """

    path: Path
    name: str


async def receive_upload(request: Request, folder: Path, limits: Limits) -> Upload:
    """Write the form's file into a folder while it comes in.

    Parameters
    ----------
    request : Request
        Its body is read here.
    folder : Path
        Of this upload alone.
    limits : Limits
        The largest body, and the longest time that it may take.

    Raises
    ------
    RefusedError
        Status 400 when the body is no form, is cut short, or has not one file; 408 when it takes
        too long; 413 when it is too large; 415 when the request says to be no form; 507 when the
        disk is full.
    """
    announced = request.headers.get("content-length", "")
    n_bytes = 0
    try:
        with closing(_Form(_boundary(request), folder)) as form:
            if announced.isdecimal() and int(announced) > limits.upload_bytes:
                raise _too_large(limits)
            async with asyncio.timeout(limits.receive_s):
                while not is_received(request):
                    message = await request.receive()
                    if message["type"] == "http.disconnect":
                        raise RefusedError(400, "the connection ended before the upload did")
                    setattr(request.state, _RECEIVED, not message.get("more_body", False))
                    chunk = message.get("body", b"")
                    n_bytes += len(chunk)  # an announced length may be a lie, or missing
                    if n_bytes > limits.upload_bytes:
                        raise _too_large(limits)
                    form.write(chunk)  # 64 KiB into the page cache: no work for a thread
            return form.finish()
    except TimeoutError:
        raise RefusedError(
            408, f"the upload took longer than {limits.receive_s:g} s: send a smaller clip"
        ) from None
    except FormParserError as error:
        raise RefusedError(400, f"the body is not a multipart form: {error}") from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise RefusedError(507, "there is no room for the upload: try again later") from None


def is_received(request: Request) -> bool:
    """Whether `receive_upload` has come to the end of a request's body."""
    return getattr(request.state, _RECEIVED, False)


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise RefusedError(
            415, f"expected a form (multipart/form-data) with the clip in its field {FIELD!r}"
        )
    return boundary


def _too_large(limits: Limits) -> RefusedError:
    return RefusedError(413, f"the upload is larger than {limits.upload_bytes / 1e6:g} MB")


class _Form:
    """Takes a form apart as it comes in; its file goes to disk, anything else is an error."""

    def __init__(self, boundary: bytes, folder: Path) -> None:
        self._folder = folder
        self._upload: Upload | None = None
        self._file: BinaryIO | None = None
        self._whole = False
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._disposition = b""
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, first, end: self._head(0, data[first:end]),
                "on_header_value": lambda data, first, end: self._head(1, data[first:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._open,
                "on_part_data": self._take,
                "on_end": self._end,
            },
        )

    def write(self, chunk: bytes) -> None:
        self._parser.write(chunk)

    def finish(self) -> Upload:
        self._parser.finalize()
        if not self._whole:
            raise RefusedError(400, "the form is cut short")
        if self._upload is None:
            raise RefusedError(400, f"the form has no file in its field {FIELD!r}")
        return self._upload

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _begin(self) -> None:
        self._disposition = b""

    def _head(self, part: int, data: bytes) -> None:
        self._header[part].extend(data)

    def _end_header(self) -> None:
        name, value = map(bytes, self._header)
        self._header = (bytearray(), bytearray())
        if name.lower() == b"content-disposition":
            self._disposition = value

    def _open(self) -> None:
        _, options = parse_options_header(self._disposition)
        field = options.get(b"name", b"").decode(errors="replace")
        if field != FIELD or b"filename" not in options or self._upload is not None:
            raise RefusedError(
                400, f"expected one file, in the field {FIELD!r}; got the field {field[:50]!r}"
            )
        name = _shown(options[b"filename"].decode(errors="replace"))
        ending = PurePosixPath(name).suffix.lower()
        path = self._folder / f"clip{ending if ending in MEDIA_SUFFIXES else ''}"
        self._file = path.open("xb")
        self._upload = Upload(path, name)

    def _take(self, data: bytes, first: int, end: int) -> None:
        assert self._file is not None  # opened before any data
        self._file.write(data[first:end])

    def _end(self) -> None:
        self._whole = True
        self.close()  # and so on disk as a whole


def _shown(filename: str) -> str:
    """Return a file name without folders and without what does not print."""
    last = filename.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(each for each in last if each.isprintable())[:_MAX_NAME] or "clip"
