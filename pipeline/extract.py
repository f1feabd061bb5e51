"""The command `eri extract`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.paths import CLIPS, PARAMS
from pipeline.terminal import Json, ParamsFile, names_of, say

if TYPE_CHECKING:
    import pandas as pd

    from features.encoders import Encoder
    from pipeline.params import Params


def extract_command(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Media files, or folders of them.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the feature stores.")] = None,
    encoders: Annotated[
        str | None, typer.Option(help="Names from params.yaml, joined by commas; default all.")
    ] = None,
    list_only: Annotated[
        bool, typer.Option("--list", help="Show the encoders and what is cached; embed nothing.")
    ] = False,
    params_file: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """Embed media files with the encoders of params.yaml; no labels and no DVC needed.

    One feature store per encoder is written, as plain Parquet, and a table of failures beside it.
    What the cache holds is not computed again. A clip's id is its file name without the ending,
    or its path where several files have one name.
    Status 1 when more clips failed than `data.max_failed_share` allows; a missing stream is no
    failure, and the stores are written all the same.

    Example: eri extract videos/ --out features/ --encoders clip,egemaps

    Example: eri extract --list
    """
    from features.extraction import extract, index_files
    from pipeline.clip_ids import find_media
    from pipeline.errors import check_share, summary
    from pipeline.params import ParamsError, load_params

    params = load_params(params_file)
    available = params.encoders
    names = names_of(encoders) or list(available)
    unknown = [name for name in names if name not in available]
    if unknown:
        raise ParamsError(f"unknown encoder(s) {unknown}: expected some of {list(available)}")
    chosen = {name: available[name] for name in names}
    if list_only:
        _list_encoders(chosen, params, find_media(paths) if paths else None, as_json)
        return
    if not paths or out is None:
        raise typer.BadParameter("give media files and --out FOLDER, or --list")
    clips = index_files(find_media(paths))
    report = extract(clips, chosen, params.sampling, out)
    content = {
        name: {
            "store": str(out / name),
            "n_clips": len(clips),
            "n_embedded": report.n_embedded[name],
            "n_computed": report.n_computed[name],
            "failures": failures.to_dict("records"),
        }
        for name, failures in report.failures.items()
    }
    lines = [
        f"{summary(name, len(clips), failures)} -> {out / name}"
        for name, failures in report.failures.items()
    ]
    say(as_json, content, lines)
    for name, failures in report.failures.items():
        check_share(name, len(clips), failures, params.data.max_failed_share)


def _list_encoders(
    encoders: Mapping[str, "Encoder"],
    params: "Params",
    media: Mapping[str, Path] | None,
    as_json: bool,
) -> None:
    """Count in the media that were named, else in the pipeline's clip table, else in the cache."""
    from features.extraction import index_files
    from pipeline.clip_table import read_clip_table

    clips = read_clip_table() if media is None and CLIPS.exists() else None
    if media is not None:
        clips = index_files(media)
    entries = [_describe(name, each, params, clips) for name, each in encoders.items()]
    row = "{:12} {:11} {:20} {:24} {:>6} {:>13}  {}"
    lines = [row.format("name", "kind", "model", "weights", "dim", "cached", "identity")]
    for e in entries:
        cached = f"{e['n_cached']}" + ("" if e["n_clips"] is None else f" of {e['n_clips']}")
        described = (e["name"], e["kind"], e["model"], e["weights"], e["dimension"] or "-", cached)
        lines.append(row.format(*described, e["identity"] or "-"))
    lines += [f"{each['name']}: {each['problem']}" for each in entries if each["problem"]]
    say(as_json, entries, lines)


def _describe(
    name: str, encoder: "Encoder", params: "Params", clips: "pd.DataFrame | None"
) -> dict[str, Any]:
    """Say what an encoder is and how much of it is cached; nothing is fetched or computed.

    Without a table of clips all that is cached is counted. Where the weights are not on this
    machine, ``problem`` says so, and there is no identity.
    """
    from features.cache import EmbeddingCache, default_cache_root
    from features.encoders import EncoderError
    from features.encoders.weights import without_download
    from features.extraction.embedder import unusable
    from features.extraction.index import iterate_clips
    from features.identity import encoder_identity

    dimension, identity, problem, cached, wanted = None, None, "", set(), None
    try:
        with without_download():
            dimension = encoder.dimension()
            identity = encoder_identity(encoder, params.sampling)
        cached = set(EmbeddingCache(default_cache_root(), identity))
    except EncoderError as error:
        problem = str(error)
    if clips is not None:
        wanted = {clip.sha256 for clip in iterate_clips(clips) if unusable(encoder, clip) is None}
        cached &= wanted
    return {
        "name": name,
        "kind": encoder.kind,
        "model": encoder.model,
        "weights": getattr(encoder, "weights", "-"),
        "dimension": dimension,
        "identity": identity,
        "n_cached": len(cached),
        "n_clips": None if wanted is None else len(wanted),
        "problem": problem,
    }
