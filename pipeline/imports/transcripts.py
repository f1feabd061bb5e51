"""Transcripts that came from elsewhere: tables, or files of subtitles, one for each clip."""

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.files import file_sha256
from features.transcripts import COLUMNS, write_transcripts
from pipeline.clip_ids import match_ids, plain_text
from pipeline.findings import Findings, RefusedError
from pipeline.imports.columns import plain_name, role_of, to_numbers
from pipeline.imports.features import to_times
from pipeline.imports.reading import read_text, read_text_table
from pipeline.labels import LabelError, read_labels
from pipeline.params import load_params
from pipeline.paths import IMPORTED_TRANSCRIPTS, PARAMS
from pipeline.settings_files import update_settings

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


def import_transcripts(path: Path, *, dry_run: bool = False) -> tuple[dict[str, Any], Findings]:
    """Import transcripts of the clips of the label table, and enter them in the parameters.

    Parameters
    ----------
    path : Path
        CSV in any usual form, or Parquet, with ids and texts; a file of subtitles (SRT, WebVTT, or
        plain text), or a folder of them, called as the clips are.
    dry_run : bool
        Write nothing.

    Returns
    -------
    summary : dict
        What was found, for `json.dumps`; under ``written`` the files that changed.
    findings : Findings
        What was noticed. An error keeps everything from being written.
    """
    params = load_params(check_heads=False, need_features=False)
    findings = Findings()
    written: list[str] = []
    summary: dict[str, Any] = {"name": "transcripts", "features": {}, "written": written}
    table = pd.DataFrame(columns=list(COLUMNS))
    try:
        table = _read(path, findings)
        wanted = list(read_labels(params.data.labels, params.targets)["clip_id"])
        matches = match_ids(wanted, dict.fromkeys(table["clip_id"]))
        if not matches.found:
            done = f"no id is in the label table, which has {wanted[:3]}"
            findings.add("ids of other clips", "error", table["clip_id"].unique(), done)
        advice = "they cannot be told apart: rename them as in the label table"
        findings.add_matches(matches, "transcripts", advice)
        ours = {theirs: clip for clip, theirs in matches.found.items()}
        table["clip_id"] = table["clip_id"].map(ours)
        table = table[table["clip_id"].notna()].sort_values(["clip_id", "start_s"], kind="stable")
    except RefusedError as error:
        findings.refuse(error)
    except LabelError as error:
        kind = "label tables that cannot be used"
        findings.add(kind, "error", [params.data.labels], str(error))
    has_words = table["text"].astype("string").str.strip() != ""
    summary |= {"n_rows": len(table), "n_clips_with_words": table["clip_id"][has_words].nunique()}
    if dry_run or findings.have_errors:
        return summary, findings
    before = file_sha256(IMPORTED_TRANSCRIPTS) if IMPORTED_TRANSCRIPTS.is_file() else None
    write_transcripts(IMPORTED_TRANSCRIPTS, table.reset_index(drop=True), {})
    sha256 = file_sha256(IMPORTED_TRANSCRIPTS)
    entry = {"kind": "imported", "table": IMPORTED_TRANSCRIPTS.as_posix(), "sha256": sha256}
    written += [str(IMPORTED_TRANSCRIPTS)] if sha256 != before else []
    changes = {"transcripts": entry}
    if update_settings(PARAMS, changes, lambda new: load_params(new, need_features=False)):
        written.append(str(PARAMS))
    return summary, findings


def _read(path: Path, findings: Findings) -> pd.DataFrame:
    """Read transcripts with the ids that they have there."""
    if path.is_dir() or path.suffix.lower() in _SUBTITLES:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        chosen = [each for each in files if each.suffix.lower() in _SUBTITLES]
        if not chosen:
            why = f"{path} holds no {', '.join(_SUBTITLES)}: expected one for each clip"
            raise RefusedError("folders without subtitles", [path], why)
        rows = [(each.stem, *cue, None, None) for each in chosen for cue in _cues(each)]
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    given = read_text_table(path, findings)
    plain = {plain_name(name): name for name in given}
    ids = next((name for name in given if role_of(name) == "id"), None)
    found = {
        key: next((plain[name] for name in names.split() if name in plain), None)
        for key, names in _NAMES.items()
    }
    if ids is None or found["text"] is None:
        lacking = "clip_id" if ids is None else "text"
        why = f"{path} has no column {lacking}: it has {[*given][:10]}; rename the one that is it"
        raise RefusedError("missing columns", [lacking], why)
    table = pd.DataFrame({"clip_id": given[ids].fillna("").map(plain_text)})
    table["text"] = given[found["text"]].fillna("")
    table["language"] = None if found["language"] is None else given[found["language"]]
    table["no_speech"] = np.nan if (no := found["no_speech"]) is None else to_numbers(given[no])[0]
    for key in ("start_s", "end_s"):
        name = found[key]
        times = np.full(len(table), np.nan) if name is None else to_times(given[name])
        table[key] = times * (1e-3 if plain_name(name).endswith("_ms") else 1.0)
    backwards = table["end_s"] < table["start_s"]
    done = "mend the times, or leave them out"
    findings.add("rows that end before they begin", "error", table["clip_id"][backwards], done)
    return table[list(COLUMNS)].astype(COLUMNS)


def _cues(path: Path) -> Iterator[tuple[float, float, str]]:
    """Yield begin and end in seconds, and text; of a file without times, all of it as one."""
    content = read_text(path).replace("\r\n", "\n").replace("\r", "\n")
    if path.suffix.lower() == ".txt":
        yield np.nan, np.nan, plain_text(content)
        return
    cues = _CUE.findall(content)
    if not cues and "-->" in content:
        why = f"{path} has no cue such as `00:00:01,000 --> 00:00:02,500` with text below it"
        raise RefusedError("files that cannot be read", [path], why)
    for start, end, text in cues or [("0:0.0", "0:0.0", "")]:
        yield _seconds(start), _seconds(end), plain_text(html.unescape(_MARKUP.sub("", text)))


def _seconds(clock: str) -> float:
    parts = [float(each) for each in clock.replace(",", ".").split(":")]
    return float(sum(part * 60**power for power, part in enumerate(reversed(parts))))
