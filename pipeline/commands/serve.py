"""The command `eri serve`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.paths import BUNDLE


def serve_command(
    bundle: Annotated[Path, typer.Option(help="The bundle that `dvc repro` wrote.")] = BUNDLE,
    host: Annotated[
        str, typer.Option(help="The address to listen on; by default this machine alone.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8000,
    names: Annotated[
        str | None,
        typer.Option(help="Host names that requests may use beside --host, joined by commas."),
    ] = None,
    max_upload_mb: Annotated[float, typer.Option(min=0.01, help="Largest upload.")] = 200.0,
    max_duration_s: Annotated[float, typer.Option(min=0.1, help="Longest clip.")] = 60.0,
    max_waiting: Annotated[
        int, typer.Option(min=0, help="Uploads that may wait; to further ones it is busy.")
    ] = 8,
    receive_limit_s: Annotated[
        float, typer.Option(min=0.1, help="Longest time for an upload to come in.")
    ] = 60.0,
    answer_limit_s: Annotated[
        float,
        typer.Option(min=0.1, help="Longest time until its turn, and from then to the answer."),
    ] = 120.0,
) -> None:
    """Predict clips that are uploaded: a page to drop them on, and JSON.

    Models stay loaded. Clips, and what is computed from them, are removed before the answer is
    sent. POST /predict takes a form with the clip in its field `file`; GET /health, /metrics and
    /openapi.json tell the rest. There is no authentication: keep it on this machine, or behind a
    server that has some.

    Example: eri serve

    Example: eri serve --bundle results/bundle --port 8080 --max-duration-s 30

    Example: curl -F file=@clip.mp4 http://127.0.0.1:8000/predict
    """
    import uvicorn

    from pipeline.predict import load_bundle
    from pipeline.serve.app import LOCAL_HOSTS, create_app
    from pipeline.serve.limits import Limits

    limits = Limits(
        upload_bytes=round(max_upload_mb * 1e6),
        duration_s=max_duration_s,
        waiting=max_waiting,
        receive_s=receive_limit_s,
        answer_s=answer_limit_s,
    )
    if not _is_loopback(host):
        print(
            f"warning: {host} is not this machine alone, and there is no authentication: whoever "
            "reaches the port can upload clips. Name this machine as others do: --names",
            file=sys.stderr,
        )
    own = f"[{host}]" if ":" in host else host
    hosts = [*LOCAL_HOSTS, own, *(each.strip() for each in (names or "").split(",") if each)]
    with load_bundle(bundle, clip_limit_s=answer_limit_s) as predictor:
        uvicorn.run(
            create_app(predictor, limits, hosts),
            host=host,
            port=port,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
            limit_concurrency=_MOST_CONNECTIONS,
        )


_GRACE_S = 10
_MOST_CONNECTIONS = 1000


def _is_loopback(host: str) -> bool:
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
