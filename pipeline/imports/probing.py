"""What the files themselves show: unreadable ones, missing streams, odd lengths, copies."""

import pandas as pd

from features.extraction.index import index_files
from pipeline.clip_ids import media_rank
from pipeline.imports.collection import Collection
from pipeline.imports.findings import Findings

_MAX_LENGTH_RATIO = 4.0


def probe_files(labels: pd.DataFrame, collection: Collection, findings: Findings) -> None:
    """Hash and probe the files that are there, in parallel with a progress bar.

    Parameters
    ----------
    labels : DataFrame
        ``clip_id, path, split``.
    collection : Collection
        What they are from: the folder of the media, and further files of clips.
    findings : Findings
        What is noticed is added.
    """
    add = findings.add
    media = collection.media
    clips = labels[labels["path"].notna()].drop_duplicates("path")
    there = [(media / path).is_file() for path in clips["path"]]
    clips = clips[there].reset_index(drop=True)
    if clips.empty:
        return
    # By row, so that ids need not be unique yet.
    files = index_files({str(row): media / path for row, path in enumerate(clips["path"])})
    ids = clips["clip_id"].astype("string")
    bad = files["error_step"].notna()
    done = "kept: the index lists them, and stops beyond data.max_failed_share"
    add("unreadable files", "warning", (ids + ": " + files["error_reason"])[bad], done)
    mute = ~bad & ~files["has_audio"]
    done = "kept: encoders of the other kind still use them"
    add("files without video", "warning", ids[~bad & ~files["has_video"]], done)
    add("files without sound", "warning", ids[mute], done)
    beside = collection.beside.items()
    heard = [clip for clip, others in beside if any(media_rank(each) == 2 for each in others)]
    done = "the sound file is not used; mux it into the video to use it"
    add("no sound, but a sound file beside", "warning", ids[mute & ids.isin(heard)], done)
    median_s = files["duration_s"].median()
    ratio = files["duration_s"] / median_s
    odd = (ratio > _MAX_LENGTH_RATIO) | (ratio < 1 / _MAX_LENGTH_RATIO)
    shown = ids + files["duration_s"].map(": {:.2f} s".format)
    done = f"kept; the median is {median_s:.2f} s, and these are 4 times longer or shorter"
    add("durations out of line", "warning", shown[odd], done)
    inside: list[str] = []
    across: list[str] = []
    for _, copies in clips.groupby(files["sha256"].mask(bad)):
        if len(copies) > 1:
            where = across if len(set(copies["split"])) > 1 else inside
            where.append(" = ".join(copies["clip_id"].astype(str)))
    add("identical files under several ids", "warning", inside, "kept")
    done = "kept: scores on Val and Test then leak"
    add("identical files in several splits", "warning", across, done)
