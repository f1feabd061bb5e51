"""One upload from its first byte to its answer: places, one prediction thread, no file left."""

import asyncio
import errno
import wave
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image
from starlette.requests import Request

from pipeline.predict import Predictor
from pipeline.serve.answer import Answer, answer_clip
from pipeline.serve.limits import Limits, Places, RefusedError, busy
from pipeline.serve.metrics import Metrics
from pipeline.serve.upload import Upload, receive_upload


@contextmanager
def running_service(predictor: Predictor, limits: Limits) -> Iterator["Service"]:
    """Give a service whose models are loaded; at the end nothing of it is left on disk.

    Raises
    ------
    BundleError, EncoderError
        When the bundle's encoders cannot be had.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="eri-predict")
    with TemporaryDirectory(prefix="eri-serve-") as name:
        try:
            root = Path(name)
            thread.submit(_warm_up, predictor, root).result()
            yield Service(predictor, limits, root, thread)
        finally:  # before the folder goes: a prediction may still run
            thread.shutdown(cancel_futures=True)


class Service:
    """Answers uploads.

    Parameters
    ----------
    predictor : Predictor
        Called from `thread` only.
    limits : Limits
        What an upload may cost.
    root : Path
        Below it is everything that is written.
    thread : ThreadPoolExecutor
        Of one thread.
    """

    def __init__(
        self, predictor: Predictor, limits: Limits, root: Path, thread: ThreadPoolExecutor
    ) -> None:
        self.metrics = Metrics()
        self._predictor = predictor
        self._limits = limits
        self._thread = thread
        self._places = Places(limits.waiting + 1, root)

    async def answer(self, request: Request) -> Answer:
        """Receive an upload and predict it.

        Raises
        ------
        RefusedError
            With the HTTP status; see `receive_upload` and `answer_clip`. Further 403 for an upload
            that another site's page sends, 503 when all places are taken, 504 when time is up.
        """
        status = "500"
        try:
            answer = await self._answer(request)
            status = "200"
            return answer
        except RefusedError as error:
            status = str(error.status)
            raise
        finally:
            self.metrics.answers.labels(status).inc()

    async def _answer(self, request: Request) -> Answer:
        _check_origin(request)
        with ExitStack() as place:
            folder = place.enter_context(self._places.take())
            place.enter_context(self.metrics.places_taken.track_inprogress())
            with self.metrics.receiving_s.time():
                upload = await receive_upload(request, folder, self._limits)
            self.metrics.received_bytes.inc(upload.path.stat().st_size)
            begun: Future[None] = Future()
            job = self._thread.submit(self._predict, upload, folder, begun)
            held = place.pop_all()  # by the prediction, until it ends: none can be stopped midway
            job.add_done_callback(lambda _: held.close())
        finished = asyncio.wrap_future(job)
        gone = asyncio.ensure_future(_gone(request))
        try:
            await _first_of(asyncio.wrap_future(begun), gone, limit_s=self._limits.answer_s)
            if job.cancel():
                raise busy()  # its turn did not come
            await _first_of(finished, gone, limit_s=self._limits.answer_s)
            if not finished.done():
                raise RefusedError(
                    504, f"no answer within {self._limits.answer_s:g} s: send a shorter clip"
                )
            return finished.result()
        finally:
            gone.cancel()
            job.cancel()  # where it still waits, and nobody does for it any more

    def _predict(self, upload: Upload, folder: Path, begun: Future[None]) -> Answer:
        begun.set_result(None)
        try:
            with self.metrics.predicting_s.time():
                return answer_clip(
                    self._predictor,
                    upload.path,
                    upload.name,
                    folder / "cache",
                    self._limits.duration_s,
                )
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise RefusedError(507, "there is no room on the disk: try again later") from None


def _check_origin(request: Request) -> None:
    """Any page may send forms here from its reader's browser; only our own shall."""
    origin = request.headers.get("origin")
    try:
        is_ours = origin is None or urlsplit(origin).netloc == request.headers.get("host")
    except ValueError:  # no address at all
        is_ours = False
    if not is_ours:
        raise RefusedError(403, "uploads from other sites' pages are refused")


async def _first_of(*futures: asyncio.Future[Any], limit_s: float) -> None:
    await asyncio.wait(futures, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)


async def _gone(request: Request) -> None:
    """Return when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _warm_up(predictor: Predictor, root: Path) -> None:
    """Predict a made picture and a made sound: workers start, and models load."""
    with TemporaryDirectory(prefix="warm-up-", dir=root) as name:
        folder = Path(name)
        Image.linear_gradient("L").convert("RGB").save(folder / "picture.png")
        time_s = np.arange(16000) / 16000
        with wave.open(str(folder / "sound.wav"), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(16000)
            sound.writeframes((8000 * np.sin(2 * np.pi * 220 * time_s)).astype("<i2").tobytes())
        predictor.predict(folder, cache_root=folder / "cache", progress=False)
