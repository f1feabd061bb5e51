"""What the files themselves show: unreadable ones, missing streams, odd lengths, copies."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from features.extraction.index import index_files
from pipeline.clip_ids import media_rank
from pipeline.imports.findings import Findings

_MAX_LENGTH_RATIO = 4.0


def probe_files(
    labels: pd.DataFrame, media: Path, beside: Mapping[str, Sequence[str]], findings: Findings
) -> None:
    """Hash and probe the files that are there, in parallel with a progress bar.

    Parameters
    ----------
    labels : DataFrame
        ``clip_id, path, split``.
    media : Path
        What the paths are relative to.
    beside : mapping of str to list of str
        By clip id: further files of the clip, which are not used.
    findings : Findings
        What is noticed is added.
    """
    clips = labels[labels["path"].notna()].drop_duplicates("path")
    there = [(media / path).is_file() for path in clips["path"]]
    clips = clips[there].reset_index(drop=True)
    if clips.empty:
        return
    # By row, so that ids need not be unique yet.
    files = index_files({str(row): media / path for row, path in enumerate(clips["path"])})
    ids = clips["clip_id"]
    bad = files["error_step"].notna()
    why = [f"{i}: {r}" for i, r in zip(ids[bad], files.loc[bad, "error_reason"], strict=True)]
    done = "kept: the index lists them, and stops beyond data.max_failed_share"
    findings.add("unreadable files", "warning", why, done)
    mute = ~bad & ~files["has_audio"]
    kept = "kept: encoders of the other kind still use them"
    findings.add("files without video", "warning", ids[~bad & ~files["has_video"]], kept)
    findings.add("files without sound", "warning", ids[mute], kept)
    done = "the sound file is not used; mux it into the video to use it"
    heard = [
        clip for clip, others in beside.items() if any(media_rank(each) == 2 for each in others)
    ]
    found = ids[mute & ids.isin(heard)]
    findings.add("no sound, but a sound file beside", "warning", found, done)
    _check_durations(ids, files["duration_s"], findings)
    _check_copies(clips, files["sha256"].mask(bad), findings)


def _check_durations(
    ids: "pd.Series[str]", duration_s: "pd.Series[float]", findings: Findings
) -> None:
    median_s = duration_s.median()
    ratio = duration_s / median_s
    odd = (ratio > _MAX_LENGTH_RATIO) | (ratio < 1 / _MAX_LENGTH_RATIO)
    shown = [f"{i}: {s:.2f} s" for i, s in zip(ids[odd], duration_s[odd], strict=True)]
    done = f"kept; the median is {median_s:.2f} s, and these are 4 times longer or shorter"
    findings.add("durations out of line", "warning", shown, done)


def _check_copies(clips: pd.DataFrame, sha256: "pd.Series[str]", findings: Findings) -> None:
    inside: list[str] = []
    across: list[str] = []
    for _, copies in clips.groupby(sha256):
        if len(copies) > 1:
            where = across if len(set(copies["split"])) > 1 else inside
            where.append(" = ".join(copies["clip_id"].astype(str)))
    findings.add("identical files under several ids", "warning", inside, "kept")
    done = "kept: scores on Val and Test then leak"
    findings.add("identical files in several splits", "warning", across, done)
