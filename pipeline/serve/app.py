"""The service as an ASGI application: its addresses, and what each of them answers."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import FastAPI, HTTPException, Request, UploadFile
from fastapi.responses import HTMLResponse, JSONResponse
from PIL import Image
from pydantic import BaseModel, Field
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from features.media.endings import MEDIA_SUFFIXES
from pipeline.predict import Predictor
from pipeline.tables import records
from pipeline.views import JOIN

LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
"""Names that requests to this machine use."""

_POLICY = (
    "default-src 'self' 'unsafe-inline' blob: data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_REFUSALS = (400, 403, 408, 413, 422, 503, 504)


@dataclass(frozen=True)
class Limits:
    """What an upload may cost.

    Attributes
    ----------
    upload_bytes, duration_s
        Largest body of a request, and longest clip in seconds.
    waiting
        Uploads that may come in or wait while one is predicted; further ones are refused.
    receive_s, answer_s
        Longest time, in seconds, that an upload may take to come in, and then its answer.
    """

    upload_bytes: int = 200_000_000
    duration_s: float = 60.0
    waiting: int = 8
    receive_s: float = 60.0
    answer_s: float = 120.0


class Answer(BaseModel):
    """The prediction for one clip: by target, of the clip as a whole and over time."""

    name: str
    duration_s: float | None = Field(description="Null for a picture, or when it is not known.")
    has_video: bool
    has_audio: bool
    intensities: dict[str, float | None] = Field(
        description="By target; null where its bundle can use nothing of the clip."
    )
    encoders: list[str] = Field(description="Those that it was predicted from.")
    missing: dict[str, str] = Field(description="Encoders that could not be used, each with why.")
    random_weights: list[str] = Field(description="If there are any, the numbers mean nothing.")
    time_s: list[float] = Field(description="The middle of each window of two seconds.")
    over_time: dict[str, list[float | None]] = Field(
        description="By target, as long as `time_s`: read the shape, not the level."
    )


def create_app(
    predictor: Predictor, limits: Limits = Limits(), hosts: Sequence[str] = LOCAL_HOSTS
) -> FastAPI:
    """Make the application; models are loaded when it starts.

    Parameters
    ----------
    predictor : Predictor
        From `pipeline.predict.load_bundle`; the application has it to itself while it runs.
    limits : Limits
        What an upload may cost.
    hosts : sequence of str
        Names that requests may use in their header ``Host``: a page of another site could else
        make its own name point here, and read the answers.
    """
    uploads: set[ExitStack] = set()
    page = files("pipeline.serve").joinpath("page.html").read_text(encoding="utf-8")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with TemporaryDirectory(prefix="eri-serve-") as root, ThreadPoolExecutor(1) as thread:
            app.state.root, app.state.thread = Path(root), thread
            await asyncio.wrap_future(thread.submit(_warm_up, predictor, Path(root)))
            yield

    app = FastAPI(
        title="eri",
        summary="Emotional reaction intensity from video. There is no authentication.",
        version=version("eri"),
        lifespan=lifespan,
        docs_url=None,  # both load scripts from elsewhere; /openapi.json is there
        redoc_url=None,
    )
    app.add_middleware(_Gate, limits=limits, uploads=uploads)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def show_page() -> HTMLResponse:
        return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})

    @app.get("/health")
    async def health() -> dict[str, Any]:
        """Say that the service runs, for which targets, within which limits, and how busy it is."""
        return {
            "status": "ok",
            "version": app.version,
            "targets": predictor.targets,
            "random_weights": predictor.random_encoders,
            "limits": vars(limits),
            "n_uploads": len(uploads),
        }

    @app.post(
        "/predict",
        max_body_size=limits.upload_bytes,
        form_limits={"max_files": 1, "max_fields": 0},
        responses={status: {"description": HTTPStatus(status).phrase} for status in _REFUSALS},
    )
    async def predict(request: Request, file: UploadFile) -> Answer:
        """Predict one clip: a video, a sound or a picture. Nothing of it is kept."""
        place = request.state.place.pop_all()  # held by the prediction from here on
        kept = request.app.state
        running = kept.thread.submit(_answer, predictor, file, kept.root, limits.duration_s)
        running.add_done_callback(lambda _: place.close())
        try:
            return await asyncio.wait_for(asyncio.wrap_future(running), limits.answer_s)
        except TimeoutError:
            late = f"no answer within {limits.answer_s:g} s"
            raise HTTPException(504, f"{late}: send a shorter clip, or try again") from None

    return app


def _answer(predictor: Predictor, file: UploadFile, root: Path, max_duration_s: float) -> Answer:
    """Predict one clip, as a whole and over time; status 422 where nothing in it can be used."""
    name = _shown(file.filename or "clip")
    ending = PurePosixPath(name).suffix.lower()
    limits: dict[str, Any] = {"max_duration_s": max_duration_s, "progress": False}
    with TemporaryDirectory(dir=root) as folder:
        path = Path(folder) / f"clip{ending if ending in MEDIA_SUFFIXES else ''}"
        with path.open("wb") as copy:
            shutil.copyfileobj(file.file, copy)
        embedded = predictor.embed(path, cache_root=Path(folder) / "cache", **limits)
        (clip,), (row,) = map(records, (embedded.clips, predictor.table(embedded)))
        if all(row[target] is None for target in predictor.targets):
            raise HTTPException(422, f"nothing in this file can be used: {row['reasons']}")
        over_time = records(predictor.windows(embedded))
    missing = embedded.missing[clip["clip_id"]]
    return Answer(
        name=name,
        duration_s=clip["duration_s"],
        has_video=clip["has_video"],
        has_audio=clip["has_audio"],
        intensities={target: row[target] for target in predictor.targets},
        encoders=row["encoders"].split(JOIN),
        missing={encoder: str(error) for encoder, error in missing.items()},
        random_weights=predictor.random_encoders,
        time_s=[window["time_s"] for window in over_time],
        over_time={t: [window[t] for window in over_time] for t in predictor.targets},
    )


class _Gate:
    """ASGI middleware: so many uploads at once, in time, from our own page or from no page.

    A place is held from the first byte of an upload until the end of its prediction, also where
    nobody waits for that any more: none can be stopped midway.
    """

    def __init__(self, app: ASGIApp, limits: Limits, uploads: set[ExitStack]) -> None:
        self._app, self._limits, self._uploads = app, limits, uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return

        async def send_or_close(message: Message) -> None:
            if message.get("status") in (408, 413):  # what may still come is not waited for
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        with ExitStack() as place:
            app = self._refusal(Request(scope)) or self._app
            if app is self._app:
                self._uploads.add(place)
                place.callback(self._uploads.discard, place)
                scope["state"]["place"] = place
            await app(scope, self._in_time(receive), send_or_close)

    def _refusal(self, request: Request) -> ASGIApp | None:
        """Refuse an upload before it comes in."""
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
            return JSONResponse({"detail": "uploads from other sites' pages are refused"}, 403)
        if len(self._uploads) > self._limits.waiting:
            busy = {"detail": "busy with other uploads: try again in a moment"}
            return JSONResponse(busy, 503, {"Retry-After": "5"})
        return None

    def _in_time(self, receive: Receive) -> Receive:
        """Give up on a body that takes too long to come in."""
        end_s: float | None = asyncio.get_running_loop().time() + self._limits.receive_s

        async def receive_in_time() -> Message:
            nonlocal end_s
            try:
                async with asyncio.timeout_at(end_s):
                    message = await receive()
            except TimeoutError:
                took = f"the upload took longer than {self._limits.receive_s:g} s"
                raise HTTPException(408, f"{took}: send a smaller clip") from None
            if not message.get("more_body", False):
                end_s = None
            return message

        return receive_in_time


def _shown(filename: str) -> str:
    """Return a file name without folders and without what does not print."""
    last = filename.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(each for each in last if each.isprintable())[:200] or "clip"


def _warm_up(predictor: Predictor, root: Path) -> None:
    """Predict a made picture: workers start, and models load."""
    with TemporaryDirectory(dir=root) as folder:
        Image.linear_gradient("L").convert("RGB").save(Path(folder) / "picture.png")
        predictor.table(predictor.embed(folder, cache_root=Path(folder) / "cache", progress=False))
