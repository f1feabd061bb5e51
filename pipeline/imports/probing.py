"""What the files themselves show: unreadable ones, missing streams, odd lengths, copies."""

from pathlib import Path

import pandas as pd

from features.extraction.index import index_files
from pipeline.imports.findings import Findings

_MAX_LENGTH_RATIO = 4.0


def probe_files(labels: pd.DataFrame, media: Path, findings: Findings) -> None:
    """Hash and probe the files that are there, in parallel with a progress bar.

    Parameters
    ----------
    labels : DataFrame
        ``clip_id, path, split``.
    media : Path
        The folder of the media.
    findings : Findings
        What is noticed is added.
    """
    clips = labels[labels["path"].notna()]
    there = [(media / path).is_file() for path in clips["path"]]
    clips = clips[there].reset_index(drop=True)
    if clips.empty:
        return
    # By row: ids need not be unique yet, and two ids of one file are as bad as two copies.
    files = index_files({str(row): media / path for row, path in enumerate(clips["path"])})
    ids = clips["clip_id"].astype("string")
    bad = files["error_step"].notna()
    done = "kept: the index lists them, and stops beyond data.max_failed_share"
    findings.add("unreadable files", "warning", (ids + ": " + files["error_reason"])[bad], done)
    done = "kept: encoders of the other kind still use them"
    findings.add("files without video", "warning", ids[~bad & ~files["has_video"]], done)
    findings.add("files without sound", "warning", ids[~bad & ~files["has_audio"]], done)
    median_s = files["duration_s"].median()
    ratio = files["duration_s"] / median_s
    odd = (ratio > _MAX_LENGTH_RATIO) | (ratio < 1 / _MAX_LENGTH_RATIO)
    shown = ids + files["duration_s"].map(": {:.2f} s".format)
    done = f"kept; the median is {median_s:.2f} s, and these are 4 times longer or shorter"
    findings.add("durations out of line", "warning", shown[odd], done)
    copies = [
        " = ".join(rows["clip_id"].astype(str))
        for _, rows in clips.groupby(files["sha256"].mask(bad))
        if len(set(rows["split"])) > 1
    ]
    done = "kept: scores on Val and Test then leak"
    findings.add("identical files in several splits", "warning", copies, done)
