"""The service as an ASGI application: its addresses, and what each of them answers."""

from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from re import DOTALL, findall

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.middleware.trustedhost import TrustedHostMiddleware

from pipeline.predict import Predictor
from pipeline.serve.answer import Answer, ErrorAnswer
from pipeline.serve.limits import Limits, RefusedError, refusal
from pipeline.serve.service import Service, running_service
from pipeline.serve.upload import FIELD, is_received

LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
"""Names that requests to this machine use."""

_DESCRIPTION = """Upload a clip of a person, get intensities of reactions: as a whole and over time.

Clips and what is computed from them are removed before the answer is sent. There is no
authentication."""

_REFUSALS = {
    400: "The body is not a form with one file",
    403: "Sent by another site's page",
    408: "The upload took too long",
    413: "The upload is too large",
    415: "The body is not multipart/form-data",
    422: "The clip is too long, or nothing in it can be used",
    503: "Busy; try again after the seconds of the header Retry-After",
    504: "The prediction took too long",
    507: "The disk is full",
}

_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": [FIELD],
                "properties": {
                    FIELD: {
                        "type": "string",
                        "format": "binary",
                        "description": "A video, a sound or a picture.",
                    }
                },
                "additionalProperties": False,
            }
        }
    },
}


class LimitsAnswer(BaseModel):
    """What an upload may cost; see `pipeline.serve.limits.Limits`."""

    upload_bytes: int
    duration_s: float
    waiting: int
    receive_s: float
    answer_s: float


class Health(BaseModel):
    """The service runs, and its models are loaded."""

    status: str
    version: str
    targets: list[str]
    encoders: list[str]
    random_weights: list[str]
    limits: LimitsAnswer


def create_app(
    predictor: Predictor, limits: Limits | None = None, hosts: Sequence[str] = LOCAL_HOSTS
) -> FastAPI:
    """Make the application; models are loaded when it starts.

    Parameters
    ----------
    predictor : Predictor
        From `pipeline.predict.load_bundle`. The application has it to itself while it runs; who
        made it closes it.
    limits : Limits, optional
        What an upload may cost.
    hosts : sequence of str
        Names that requests may use in their header ``Host``. Any other is refused: a page of
        another site could else make its own name point here, and read the answers.
    """
    limits = limits or Limits()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with running_service(predictor, limits) as service:
            app.state.service = service
            yield

    app = FastAPI(
        title="eri",
        summary="Emotional reaction intensity from video.",
        description=_DESCRIPTION,
        version=version("eri"),
        lifespan=lifespan,
        docs_url=None,  # both load scripts from elsewhere; /openapi.json is there
        redoc_url=None,
    )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    app.add_exception_handler(RefusedError, _refuse)
    page = files("pipeline.serve").joinpath("page.html").read_text(encoding="utf-8")
    page_headers = _page_headers(page)

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def show_page() -> HTMLResponse:
        return HTMLResponse(page, headers=page_headers)

    @app.post(
        "/predict",
        response_model=Answer,
        responses={
            status: {"model": ErrorAnswer, "description": text}
            for status, text in _REFUSALS.items()
        },
        openapi_extra={"requestBody": _BODY},
    )
    async def predict(request: Request) -> Answer:
        """Predict one clip; the form's field `file` holds it."""
        return await _service(request).answer(request)

    @app.get("/health")
    async def health() -> Health:
        """Say that the service runs, for which targets, and within which limits."""
        return Health(
            status="ok",
            version=app.version,
            targets=list(predictor.description.targets),
            encoders=list(predictor.encoders),
            random_weights=predictor.random_encoders,
            limits=LimitsAnswer(**vars(limits)),
        )

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics(request: Request) -> PlainTextResponse:
        """Give counts and times, in Prometheus' text format."""
        text = _service(request).metrics.text()
        return PlainTextResponse(text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    return app


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def _refuse(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RefusedError)  # registered for nothing else
    return refusal(error, still_sending=not is_received(request))


def _page_headers(page: str) -> dict[str, str]:
    """Allow the page its own style and script, clips that it makes itself, and this service."""

    def hashes(tag: str) -> str:
        digests = [
            b64encode(sha256(text.encode()).digest()).decode()
            for text in findall(f"<{tag}>(.*?)</{tag}>", page, DOTALL)
        ]
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    policy = {
        "default-src": "'none'",
        "script-src": hashes("script"),
        "style-src": hashes("style"),
        "img-src": "blob: data:",
        "media-src": "blob:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
    }
