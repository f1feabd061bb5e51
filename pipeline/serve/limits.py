"""What one upload may cost, how many there may be at once, and how the others are refused."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from fastapi.responses import JSONResponse
from starlette.types import Receive, Scope, Send

_RETRY_AFTER_S = 5
_LINGER_S = 2.0


@dataclass(frozen=True)
class Limits:
    """What an upload may cost.

    Attributes
    ----------
    upload_bytes : int
        Largest body of a request.
    duration_s : float
        Longest clip, in seconds.
    waiting : int
        Uploads that may be received or wait while one is predicted; further ones are refused.
    receive_s : float
        Longest time, in seconds, that an upload may take to come in.
    answer_s : float
        Longest time, in seconds, until its turn comes, and then again until the answer.
    """

    upload_bytes: int = 200_000_000
    duration_s: float = 60.0
    waiting: int = 8
    receive_s: float = 60.0
    answer_s: float = 120.0


@dataclass
class RefusedError(Exception):
    """An upload that gets no prediction.

    Attributes
    ----------
    status : int
        HTTP status.
    detail : str
        What was wrong and what to do, for a person to read.
    reasons : mapping of str to str
        By encoder: why it could make nothing of the clip.
    headers : mapping of str to str
        Further headers of the answer.
    """

    status: int
    detail: str
    reasons: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


def busy() -> RefusedError:
    """Return what an upload is told for which there is no place, or that never has its turn."""
    retry = {"Retry-After": str(_RETRY_AFTER_S)}
    return RefusedError(503, "busy with other uploads: try again in a moment", headers=retry)


def refusal(error: RefusedError, *, still_sending: bool) -> JSONResponse:
    """Make the answer to an upload that is refused, perhaps while the client still sends."""
    content: dict[str, object] = {"detail": error.detail}
    if error.reasons:
        content["reasons"] = dict(error.reasons)
    kind = _LingeringResponse if still_sending else JSONResponse
    return kind(content, error.status, dict(error.headers))


class _LingeringResponse(JSONResponse):
    """Ends the connection, but not at once.

    A connection that is closed while the client sends is reset, and many clients then never show
    the answer. So the answer goes out first, and what comes is thrown away for a moment.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send the whole answer, wait for the end of the request, and end the response."""
        self.headers["Connection"] = "close"
        start = {"type": "http.response.start", "status": self.status_code}
        await send({**start, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_S):
                while (await receive()).get("more_body", False):
                    pass
        await send({"type": "http.response.body", "body": b""})


class Places:
    """So many uploads at once; each has a temporary folder of its own.

    Parameters
    ----------
    count : int
        How many.
    root : Path
        Where the folders are made.
    """

    def __init__(self, count: int, root: Path) -> None:
        self._free = threading.BoundedSemaphore(count)
        self._root = root

    @contextmanager
    def take(self) -> Iterator[Path]:
        """Give a place's folder; at the end the folder is removed and the place free again.

        Raises
        ------
        RefusedError
            Status 503, at once, when all places are taken.
        """
        if not self._free.acquire(blocking=False):
            raise busy()
        try:
            with TemporaryDirectory(prefix="upload-", dir=self._root) as folder:
                yield Path(folder)
        finally:
            self._free.release()
