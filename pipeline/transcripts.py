"""Extraction with words: what is said in the clips first, then the encoders that read it."""

from collections.abc import Mapping
from dataclasses import fields
from itertools import chain
from pathlib import Path

import pandas as pd

from features.encoders import Encoder, Recogniser
from features.extraction import ExtractReport, extract
from features.extraction.stores import leave_out
from features.files import file_sha256
from features.store import stored_clips
from features.transcripts import (
    COLUMNS,
    clips_of_words,
    complete_transcripts,
    heard_transcripts,
    write_transcripts,
)
from pipeline.params import ImportedTranscripts, Params, ParamsError
from pipeline.paths import HEARD


def extract_with_words(
    clips: pd.DataFrame,
    encoders: Mapping[str, Encoder],
    params: Params,
    destination: Path,
    transcripts: Path,
    on: str | None = None,
) -> ExtractReport:
    """Embed clips, and their words, as `features.extraction.extract` does; write the transcripts.

    A recogniser is one more encoder, whose store `HEARD` has the tokens of each window of sound.
    Where it is optional and cannot be had, encoders of text are left out with it.

    Parameters
    ----------
    clips, encoders, destination, on
        As there; words are embedded here, since they take a moment.
    params : Params
        Where transcripts come from, and how sound is sampled.
    transcripts : Path
        The table that is written where the parameters name transcripts.

    Raises
    ------
    ParamsError
        When the imported table is missing, or another one than the parameters say.
    """
    readers = {name: each for name, each in encoders.items() if each.modality == "words"}
    hearers = {name: each for name, each in encoders.items() if name not in readers}
    source, said = params.transcripts, {}
    if isinstance(source, Recogniser):
        hearers[HEARD] = source
    report = extract(clips, hearers, params.sampling, destination, on=on)
    if reason := report.left_out.get(HEARD):
        table = complete_transcripts(pd.DataFrame(columns=list(COLUMNS)), clips)
        for name in readers:
            report.left_out[name] = f"there are no transcripts: {reason}"
            report.failures[name] = leave_out(name, report.left_out[name], clips, destination)
            report.n_embedded[name] = report.n_computed[name] = 0
        readers = {}
    elif isinstance(source, Recogniser):
        shards = list(stored_clips(destination / HEARD))
        said = shards[0][0]
        table = heard_transcripts(source, chain.from_iterable(each for _, each in shards), clips)
    elif source is not None:
        table = complete_transcripts(pd.read_parquet(check_imported(source)), clips)
        said = {"sha256": source.sha256}
    if source is not None:
        write_transcripts(transcripts, table, said)
    if readers:
        words = clips_of_words(table, clips)
        read = extract(words, readers, params.sampling, destination)
        for each in fields(report):
            getattr(report, each.name).update(getattr(read, each.name))
    return report


def check_imported(source: ImportedTranscripts) -> Path:
    """Return the imported table of transcripts; it has to be the one that was imported."""
    is_there = source.table.is_file()
    if not is_there or file_sha256(source.table) != source.sha256:
        what = "another one than params.yaml says" if is_there else "missing"
        raise ParamsError(
            f"the transcripts {source.table} are {what}: run `eri import transcripts` again"
        )
    return source.table
