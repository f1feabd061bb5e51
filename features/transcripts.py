"""What is said in clips: a table of transcripts, and how encoders of text come to read it.

A table has one row for each stretch of a clip, `COLUMNS`, and at least one for each clip: without
words where nobody speaks.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.encoders import Recogniser
from features.files import replacing_file
from features.store import METADATA_KEY, StoredClip

COLUMNS = {
    "clip_id": "string",
    "start_s": "float64",
    "end_s": "float64",
    "text": "string",
    "language": "string",
    "no_speech": "float64",
}
"""Of a table of transcripts. Times are in the clip, ``no_speech`` is the probability that nobody
speaks; what is not known is null."""


def heard_transcripts(
    recogniser: Recogniser, heard: Iterable[StoredClip], clips: pd.DataFrame
) -> pd.DataFrame:
    """Return what a recogniser heard in the clips of a clip table; `heard` holds its tokens."""
    rows = [(clip, *said) for clip, _, tokens in heard for said in recogniser.utterances(tokens)]
    return complete_transcripts(pd.DataFrame(rows, columns=list(COLUMNS)), clips)


def complete_transcripts(transcripts: pd.DataFrame, clips: pd.DataFrame) -> pd.DataFrame:
    """Bring a table into the order of a clip table, with rows of all clips there and of no others.

    A clip that had none gets one without words. A row without an end lasts to that of its clip.
    """
    ids = clips[["clip_id", "duration_s"]]
    table = ids.merge(transcripts, on="clip_id", how="left")
    table["start_s"] = table["start_s"].fillna(0.0)
    table["end_s"] = table["end_s"].fillna(table["duration_s"]).fillna(table["start_s"])
    table["text"] = table["text"].fillna("")
    return table[list(COLUMNS)].astype(COLUMNS)


def clips_of_words(transcripts: pd.DataFrame, clips: pd.DataFrame) -> pd.DataFrame:
    """Make clips of transcripts, as `features.extraction.extract` takes them for encoders of text.

    Returns a clip table with the ids of `clips`, whose column ``path`` holds the words instead. A
    clip without words is one that cannot be used, and says so.
    """
    spoken = transcripts[transcripts["text"].str.strip() != ""]
    said = {
        clip_id: json.dumps(rows[["start_s", "end_s", "text"]].values.tolist(), ensure_ascii=False)
        for clip_id, rows in spoken.groupby("clip_id", sort=False)
    }
    words = clips["clip_id"].map(said)
    is_silent = words.isna()
    return clips.assign(
        has_video=False,
        has_audio=False,
        path=words,
        sha256=words.map(lambda text: hashlib.sha256(text.encode()).hexdigest(), "ignore"),
        error_step=is_silent.map({True: "stream"}),
        error_reason=is_silent.map({True: "nobody speaks in the clip"}),
    )


def write_transcripts(path: Path, table: pd.DataFrame, metadata: Mapping[str, Any]) -> None:
    """Write a table of transcripts as Parquet, with what made it in the file's metadata."""
    content = pa.Table.from_pandas(table.astype(COLUMNS), preserve_index=False)
    said = {METADATA_KEY: json.dumps(dict(metadata), sort_keys=True)}
    with replacing_file(path) as beside:
        pq.write_table(content.replace_schema_metadata(said), beside)
