"""Transcripts that came from elsewhere: tables, or files of subtitles, one for each clip."""

import html
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from features.files import file_sha256
from features.transcripts import COLUMNS, write_transcripts
from pipeline.clip_ids import plain_text
from pipeline.dialects import to_numbers, to_times
from pipeline.findings import Findings, RefusedError
from pipeline.imports.columns import plain_name, role_of
from pipeline.imports.importing import Import
from pipeline.paths import IMPORTED_TRANSCRIPTS
from pipeline.reading import check_columns, read_text, read_text_table

_SUBTITLES = (".srt", ".vtt", ".txt")
_CLOCK = r"(?:\d+:)?\d+:\d+[.,]\d+"
_CUE = re.compile(rf"^({_CLOCK})[ \t]*-->[ \t]*({_CLOCK}).*\n((?:.+\n?)*)", re.MULTILINE)
_MARKUP = re.compile(r"<[^>]*>|\{\\[^}]*\}")
_NAMES = {
    "text": "text transcript transcription transcripts words sentence utterance asr",
    "start_s": "start_s start start_ms start_time begin begin_s",
    "end_s": "end_s end end_ms end_time stop",
    "language": "language lang",
    "no_speech": "no_speech no_speech_prob",
}
"""What columns are called, in small letters with underscores."""


def add_transcripts(path: Path, one: Import) -> None:
    """Add transcripts of the clips of the label table to an import.

    `path` is CSV in any usual form, or Parquet, with ids and texts; a file of subtitles (SRT,
    WebVTT, or plain text), or a folder of them, called as the clips are. A RefusedError when there
    is nothing to read, or columns of ids or text are missing.
    """
    table = _read(path, one.findings)
    table["clip_id"] = table["clip_id"].map(one.match(table["clip_id"], "transcripts"))
    table = table.dropna(subset="clip_id").sort_values(["clip_id", "start_s"], kind="stable")
    has_words = table["text"].str.strip() != ""
    n_clips = int(table["clip_id"][has_words].nunique())
    one.summary |= {"n_rows": len(table), "n_clips_with_words": n_clips}

    def write(file: Path) -> None:
        write_transcripts(file, table.reset_index(drop=True), {})
        entry = {"kind": "imported", "table": file.as_posix(), "sha256": file_sha256(file)}
        one.changes["transcripts"] = entry

    one.writers[IMPORTED_TRANSCRIPTS] = write


def _read(path: Path, findings: Findings) -> pd.DataFrame:
    """Read transcripts with the ids that they have there."""
    if path.is_dir() or path.suffix.lower() in _SUBTITLES:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        chosen = [each for each in files if each.suffix.lower() in _SUBTITLES]
        if not chosen:
            why = f"{path} holds no {', '.join(_SUBTITLES)}: expected one for each clip"
            raise RefusedError("folders without subtitles", [path], why)
        rows = [(each.stem, *cue) for each in chosen for cue in _cues(each)]
        given = pd.DataFrame(rows, columns=["clip_id", "start", "end", "text"], dtype="string")
    else:
        given = read_text_table(path, findings)
    plain = {plain_name(name): str(name) for name in given}
    found = {
        key: next((plain[name] for name in names.split() if name in plain), key)
        for key, names in _NAMES.items()
    }
    found["clip_id"] = next((str(name) for name in given if role_of(name) == "id"), "clip_id")
    check_columns(given, [found["clip_id"], found["text"]], path)
    table = pd.DataFrame({key: given.get(found[key]) for key in COLUMNS}, given.index)
    for key in ("clip_id", "text"):
        table[key] = table[key].fillna("")
    table["clip_id"] = table["clip_id"].map(plain_text)
    table["no_speech"] = to_numbers(table["no_speech"])[0]
    for key in ("start_s", "end_s"):
        table[key] = to_times(table[key])[0] * (1e-3 if found[key].lower().endswith("ms") else 1.0)
    backwards = table["end_s"] < table["start_s"]
    done = "mend the times, or leave them out"
    findings.error("rows that end before they begin", table["clip_id"][backwards], done)
    return table.astype(COLUMNS)


def _cues(path: Path) -> Iterator[tuple[str | None, str | None, str]]:
    """Yield begin and end, and text; of a file without times, all of it as one."""
    content = read_text(path).replace("\r\n", "\n").replace("\r", "\n")
    if path.suffix.lower() == ".txt":
        yield None, None, plain_text(content)
        return
    cues = _CUE.findall(content)
    if not cues and "-->" in content:
        why = f"{path} has no cue such as `00:00:01,000 --> 00:00:02,500` with text below it"
        raise RefusedError("files that cannot be read", [path], why)
    for start, end, text in cues or [("00:00.0", "00:00.0", "")]:
        times = start.replace(",", "."), end.replace(",", ".")
        yield *times, plain_text(html.unescape(_MARKUP.sub("", text)))
