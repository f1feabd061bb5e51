"""The command `eri extract`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.terminal import Json, On, names_of


def extract_command(
    paths: Annotated[list[Path], typer.Argument(help="Media files, or folders of them.")],
    out: Annotated[Path, typer.Option(help="Folder for the feature stores.")],
    encoders: Annotated[
        str | None, typer.Option(help="Names from params.yaml, joined by commas; default all.")
    ] = None,
    on: On = None,
    as_json: Json = False,
) -> None:
    """Embed media files with the encoders of params.yaml.

    It needs no labels and no DVC. One feature store per encoder is written, as plain Parquet, and
    a table of failures beside it; and transcripts.parquet, where params.yaml names a recogniser.
    What the cache holds is not computed again. A clip's id is its file name without the ending,
    or its path where several files have one name. Status 1 when more clips failed than
    `data.max_failed_share` allows; the stores are written all the same.

    Example: eri extract videos/ --out embedded/ --encoders clip,egemaps

    Example: eri extract videos/ --out embedded/ --on ray
    """
    from features.extraction import index_files
    from pipeline.clip_ids import find_media
    from pipeline.errors import report_extraction
    from pipeline.params import load_params
    from pipeline.settings_files import known_names
    from pipeline.transcripts import extract_with_words

    params = load_params()
    names = known_names(names_of(encoders) or params.encoders, params.encoders, "encoder")
    chosen = {name: params.encoders[name] for name in names}
    clips = index_files(find_media(paths))
    if encoders is not None and not set(params.readers) & set(chosen):
        params = params.model_copy(update={"transcripts": None})  # nobody would read them
    report = extract_with_words(
        clips, chosen, params, out, out / "transcripts.parquet", on or params.execution.cluster
    )
    report_extraction(report, len(clips), params.data.max_failed_share, as_json)
