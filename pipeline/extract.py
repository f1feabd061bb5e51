"""The command `eri extract`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.paths import PARAMS
from pipeline.terminal import Json, ParamsFile, names_of, say

if TYPE_CHECKING:
    from features.encoders import Encoder
    from features.identity import Sampling


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
    from pipeline.errors import report_extraction
    from pipeline.params import ParamsError, load_params

    params = load_params(params_file)
    names = names_of(encoders) or list(params.encoders)
    unknown = [name for name in names if name not in params.encoders]
    if unknown:
        raise ParamsError(f"unknown encoder(s) {unknown}: expected some of {list(params.encoders)}")
    chosen = {name: params.encoders[name] for name in names}
    if list_only:
        _list_encoders(chosen, params.sampling, as_json)
        return
    if not paths or out is None:
        raise typer.BadParameter("give media files and --out FOLDER, or --list")
    clips = index_files(find_media(paths))
    report = extract(clips, chosen, params.sampling, out)
    report_extraction(report, len(clips), params.data.max_failed_share, as_json)


def _list_encoders(encoders: Mapping[str, "Encoder"], sampling: "Sampling", as_json: bool) -> None:
    entries = [_describe(name, each, sampling) for name, each in encoders.items()]
    row = "{:18} {:12} {:20} {:24} {:>6} {:>7}  {}"
    lines = [row.format("name", "kind", "model", "weights", "dim", "cached", "identity")]
    for entry in entries:
        *shown, problem = ("-" if each is None else each for each in entry.values())
        lines.append(row.format(*map(str, shown)))
        lines += [f"  {problem}"] if entry["problem"] else []
    say(as_json, entries, lines)


def _describe(name: str, encoder: "Encoder", sampling: "Sampling") -> dict[str, Any]:
    """Say what an encoder is and how many clips of it are cached; nothing is fetched or computed.

    Where the weights are not on this machine, ``problem`` says so, and there is no identity.
    """
    from features.cache import EmbeddingCache, default_cache_root
    from features.encoders import EncoderError
    from features.encoders.weights import without_download
    from features.identity import encoder_identity

    dimension, identity, n_cached, problem = None, None, 0, ""
    try:
        with without_download():
            dimension = encoder.dimension()
            identity = encoder_identity(encoder, sampling)
        n_cached = len(set(EmbeddingCache(default_cache_root(), identity)))
    except EncoderError as error:
        problem = str(error)
    return {
        "name": name,
        "kind": encoder.kind,
        "model": encoder.model,
        "weights": getattr(encoder, "weights", None),
        "dimension": dimension,
        "n_cached": n_cached,
        "identity": identity,
        "problem": problem,
    }
