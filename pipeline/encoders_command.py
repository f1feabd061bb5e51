"""The command `eri encoders`: what is known by name, and whether it works here."""

import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.terminal import Json, say


def encoders_command(
    names: Annotated[
        list[str] | None, typer.Argument(help="Presets to describe; default: a list of all.")
    ] = None,
    check: Annotated[
        str | None, typer.Option(help="Load this one, and embed a test clip with it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List encoders known by name, describe some, or try one.

    In params.yaml, `encoders: {voice: {preset: wavlm-base-plus}}` stands for all of its keys; any
    of them can be given beside it, and then counts.

    Example: eri encoders --check whisper-tiny-en
    """
    from features.encoders import presets
    from pipeline.settings_files import known_names, yaml_text

    known = presets()
    known_names([*(names or ()), *([check] if check else ())], known, "preset")
    if check:
        found = _checked(check)
        say(as_json, found, [f"{key:12} {value}" for key, value in found.items()])
        return
    content = {
        name: {**known[name]._asdict(), "revision": known[name].revision()}
        for name in names or known
    }
    lines = [
        f"{name:20} {each['licence'].partition(';')[0]:16} {each['revision'][:9]:10} "
        f"{each['about']}"
        for name, each in content.items()
    ]
    lines.append(
        "main: what that branch of a repository holds when it is fetched. Of kind transformers, "
        "`--check` prints the commit, and `revision: COMMIT` stays with it."
    )
    say(as_json, content, [yaml_text(content).rstrip()] if names else lines)


def _checked(name: str) -> dict[str, Any]:
    """Embed a drawn and voiced clip of two seconds; say what comes out, and how fast."""
    from features.encoders import make_encoder
    from features.extraction import embed_files
    from pipeline.demo.corpus import write_clip
    from pipeline.settings_files import ParamsError

    encoder = make_encoder({"preset": name})
    if encoder.modality == "words":
        raise ParamsError(
            f"{name} reads transcripts, and a test clip has none: set `transcripts:` and run "
            "`eri doctor`, which fetches both"
        )
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, "clip.mp4")
        write_clip(clip)
        started_s = time.perf_counter()
        store, _ = embed_files([clip], encoder, cache_root=folder, progress=False)
    columns = [f"{column} ({width})" for column, width in store.metadata.get("outputs", [])]
    return {
        "preset": name,
        "rows": len(store.embedding),
        "numbers": store.embedding.shape[1],
        "outputs": ", ".join(columns[:8]) + (" …" if len(columns) > 8 else ""),
        "largest": float(abs(store.embedding).max()),
        "seconds": round(time.perf_counter() - started_s, 1),
        "identity": store.metadata["identity"],
        "commit": getattr(encoder, "commit", None),
    }
