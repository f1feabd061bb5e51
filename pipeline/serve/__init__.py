"""Predictions over HTTP, from a bundle: the command `eri serve`, and `pipeline.serve.app`."""

import sys
from typing import Annotated

import typer

from pipeline.predict_command import WhichBundle


def serve_command(
    bundle: WhichBundle = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes any.")] = 8000,
    names: Annotated[str, typer.Option(help="Host names of this machine, joined by commas.")] = "",
    max_upload_mb: Annotated[float, typer.Option(min=0.01, help="Largest upload.")] = 200.0,
    max_duration_s: Annotated[float, typer.Option(min=0.1, help="Longest clip.")] = 60.0,
    max_waiting: Annotated[int, typer.Option(min=0, help="Uploads that may wait.")] = 8,
    receive_limit_s: Annotated[float, typer.Option(min=0.1, help="For an upload.")] = 60.0,
    answer_limit_s: Annotated[float, typer.Option(min=0.1, help="Until the answer.")] = 120.0,
) -> None:
    """Serve predictions: a page to drop clips on, and JSON.

    Clips, and what is computed from them, are removed before the answer is sent. There is no
    authentication: keep it on this machine, or behind a server that has some.

    Example: eri serve --bundle results/bundle --port 8080 --max-duration-s 30
    """
    import uvicorn

    from pipeline.predict import load_bundle
    from pipeline.serve.app import LOCAL_HOSTS, Limits, create_app

    upload_bytes = round(max_upload_mb * 1e6)
    limits = Limits(upload_bytes, max_duration_s, max_waiting, receive_limit_s, answer_limit_s)
    if host not in ("127.0.0.1", "localhost", "::1"):
        print(
            f"warning: {host} is not this machine alone, and there is no authentication: whoever "
            "reaches the port can upload clips. Name this machine as others do: --names",
            file=sys.stderr,
        )
    own = f"[{host}]" if ":" in host else host
    hosts = [*LOCAL_HOSTS, own, *(name.strip() for name in names.split(",") if name)]
    with load_bundle(bundle, clip_limit_s=answer_limit_s) as predictor:
        uvicorn.run(
            create_app(predictor, limits, hosts),
            host=host,
            port=port,
            server_header=False,
            timeout_graceful_shutdown=10,
            limit_concurrency=1000,
        )
