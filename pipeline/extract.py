"""The command `eri extract`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.paths import CLIPS, PARAMS
from pipeline.terminal import Json, ParamsFile, names_of

if TYPE_CHECKING:
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
    if as_json:
        content = {
            name: {
                "store": str(out / name),
                "n_clips": len(clips),
                "n_embedded": report.n_embedded[name],
                "n_computed": report.n_computed[name],
                "failures": report.failures[name].to_dict("records"),
            }
            for name in names
        }
        print(json.dumps(content, indent=2))
    else:
        for name in names:
            print(f"{summary(name, len(clips), report.failures[name])} -> {out / name}")
    for name in names:
        check_share(name, len(clips), report.failures[name], params.data.max_failed_share)


def _list_encoders(
    encoders: Mapping[str, "Encoder"],
    params: "Params",
    media: Mapping[str, Path] | None,
    as_json: bool,
) -> None:
    """Count in the media that were named, else in the pipeline's clip table, else in the cache."""
    from features.cache import default_cache_root
    from features.extraction import index_files
    from features.extraction.catalogue import list_encoders
    from pipeline.clip_table import read_clip_table

    clips = read_clip_table() if media is None and CLIPS.exists() else None
    if media is not None:
        clips = index_files(media)
    entries = list_encoders(encoders, params.sampling, default_cache_root(), clips)
    if as_json:
        print(json.dumps(entries, indent=2))
        return
    row = "{:12} {:11} {:20} {:24} {:>6} {:>13}  {}"
    print(row.format("name", "kind", "model", "weights", "dim", "cached", "identity"))
    for e in entries:
        cached = f"{e['n_cached']}" + ("" if e["n_clips"] is None else f" of {e['n_clips']}")
        described = (e["name"], e["kind"], e["model"], e["weights"], e["dimension"] or "-", cached)
        print(row.format(*described, e["identity"] or "-"))
    for e in entries:
        if e["problem"]:
            print(f"{e['name']}: {e['problem']}")
