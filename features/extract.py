"""The loop from clips to feature stores: decode -> encode -> cache -> store."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from features.cache import Embedding, EmbeddingCache, default_cache_root
from features.clips import Clip, iterate_clips
from features.encoders import Encoder, EncoderError, FrameEncoder, SoundEncoder
from features.identity import Sampling, encoder_identity
from features.media import MediaError
from features.reading import ReadResult, ReadTask, read_clip
from features.store import check_replaceable, write_failures, write_store
from features.workers import n_processors, run_isolated

if TYPE_CHECKING:
    from features.encoding import Batcher

DECODE_TIMEOUT_S = 300.0
"""Longest time that one clip may take to decode; a 12 s webcam clip takes about half a second."""


@dataclass(frozen=True)
class ExtractReport:
    """What one run did, per encoder name.

    Attributes
    ----------
    n_embedded : dict of str to int
        Clips in the store.
    n_computed : dict of str to int
        Clips embedded by this run; the others came from the cache.
    failures : dict of str to DataFrame
        ``clip_id, step, reason``. Step ``stream`` means that the clip never had what the encoder
        needs; every other step is a fault.
    """

    n_embedded: dict[str, int]
    n_computed: dict[str, int]
    failures: dict[str, pd.DataFrame]

    def n_faults(self, name: str) -> int:
        """Count the clips that failed for another reason than lacking video or sound."""
        return int((self.failures[name]["step"] != "stream").sum())


def extract(
    clips: pd.DataFrame,
    encoders: Mapping[str, Encoder],
    sampling: Sampling,
    destination: Path,
    *,
    cache_root: Path | None = None,
    progress: bool = True,
) -> ExtractReport:
    """Embed every clip with every encoder, and write one store and failure table per encoder.

    What the cache holds is not computed again; clips with equal bytes are embedded once.

    Parameters
    ----------
    clips : DataFrame
        The clip table, as `features.clips.index_files` makes it; further columns are ignored.
    encoders : mapping of str to encoder
        By name; the name becomes the store's.
    sampling : Sampling
        How frames and sound are sampled.
    destination : Path
        ``<destination>/<name>/`` and ``<destination>/<name>.failures.parquet`` are written.
    cache_root : Path, optional
        Default: `features.cache.default_cache_root`.
    progress : bool
        Show a progress bar on standard error.

    Raises
    ------
    EncoderError
        When an encoder cannot be had, or could embed no clip at all.
    OSError
        When the cache or the destination cannot be written. What was flushed by then is kept.
    """
    for name in encoders:  # before hours of work, not after
        check_replaceable(destination / name)
    root = cache_root or default_cache_root()
    jobs = {name: _Job(name, each, sampling, root) for name, each in encoders.items()}
    tasks = _tasks(clips, list(jobs.values()), sampling)
    if tasks:
        try:
            _embed(tasks, jobs, progress)
        finally:  # also when interrupted: nothing that is finished is lost
            with ExitStack() as flushes:  # one that fails does not keep the others from theirs
                for job in jobs.values():
                    flushes.callback(job.cache.flush)
    for name, job in jobs.items():
        stored, failures = job.sort_out(clips)
        if not stored:
            raise EncoderError(
                f"the encoder {name!r} embedded none of {len(clips)} clips; the first: "
                f"{failures['step'][0]}: {failures['reason'][0]}. Mend the clips, or take "
                f"{name!r} out of `encoders:`"
            )
        rows = ((clip_id, job.cache.get(sha256)) for clip_id, sha256 in stored)
        write_store(destination / name, rows, job.metadata())
        write_failures(destination / f"{name}.failures.parquet", failures)
        job.n_embedded, job.failures = len(stored), failures
    return ExtractReport(
        n_embedded={name: job.n_embedded for name, job in jobs.items()},
        n_computed={name: job.n_computed for name, job in jobs.items()},
        failures={name: job.failures for name, job in jobs.items()},
    )


_Pending = tuple[str, NDArray[np.float64]]  # a clip's digest and the times of its frames


class _Job:
    """One encoder's share of a run: what it lacks, what it got, what failed."""

    def __init__(self, name: str, encoder: Encoder, sampling: Sampling, root: Path) -> None:
        self.name = name
        self.encoder = encoder
        self.sampling = sampling
        self.identity = encoder_identity(encoder, sampling)
        self.cache = EmbeddingCache(root, self.identity)
        self.errors: dict[str, MediaError] = {}  # by the digest of the clip's bytes
        self.n_computed = 0
        self.n_embedded = 0
        self.failures = pd.DataFrame()

    def lacks(self, clip: Clip) -> bool:
        return self._unusable(clip) is None and clip.sha256 not in self.cache

    def keep(self, sha256: str, time_s: NDArray[np.float64], rows: NDArray[np.float32]) -> None:
        with np.errstate(over="ignore"):  # an overflow is dealt with below
            values = rows.astype(self.encoder.spec.dtype)
        if not np.isfinite(values).all():
            if np.isfinite(rows).all():
                raise EncoderError(
                    f"the encoder {self.name!r} gave {np.abs(rows).max():.3g}, more than float16 "
                    f"holds: set `dtype: float32` under encoders.{self.name}"
                )
            self.errors[sha256] = MediaError("encode", "the embedding is not finite")
            return
        self.cache.put(sha256, Embedding(time_s, values))
        self.n_computed += 1

    def sort_out(self, clips: pd.DataFrame) -> tuple[list[tuple[str, str]], pd.DataFrame]:
        """Split the clips into those to store (clip_id, sha256) and the failure table."""
        stored, failed = [], []
        for clip in iterate_clips(clips):
            error = self._unusable(clip) or self.errors.get(clip.sha256)
            if error is None:
                stored.append((clip.clip_id, clip.sha256))
            else:
                failed.append((clip.clip_id, error.step, error.reason))
        return stored, pd.DataFrame(failed, columns=["clip_id", "step", "reason"])

    def metadata(self) -> dict[str, Any]:
        libraries = ("av", "open_clip_torch", "opensmile", "pillow", "torch", "torchvision")
        return {
            "spec": self.encoder.spec.model_dump(),
            "weights_digest": self.encoder.weights_digest(),
            "sampling": self.sampling.model_dump(),
            "identity": self.identity,
            "versions": {library: version(library) for library in libraries},
        }

    def _unusable(self, clip: Clip) -> MediaError | None:
        """Why the clip table already rules the clip out for this encoder."""
        if clip.error is not None:
            return clip.error
        if isinstance(self.encoder, FrameEncoder) and not clip.has_video:
            return MediaError("stream", "the clip has no video")
        if isinstance(self.encoder, SoundEncoder) and not clip.has_audio:
            return MediaError("stream", "the clip has no sound")
        return None


def _tasks(clips: pd.DataFrame, jobs: list[_Job], sampling: Sampling) -> list[ReadTask]:
    """One task per clip content that some encoder lacks: all encoders share one decode."""
    tasks: dict[str, ReadTask] = {}
    for clip in iterate_clips(clips):
        lacking = [job for job in jobs if job.lacks(clip)]
        if not lacking or clip.sha256 in tasks:
            continue
        geometries, sound_encoders = {}, {}
        for job in lacking:
            if isinstance(job.encoder, FrameEncoder):
                geometries[job.name] = job.encoder.preprocessing.geometry
            else:
                sound_encoders[job.name] = job.encoder
        tasks[clip.sha256] = ReadTask(clip.path, clip.sha256, sampling, geometries, sound_encoders)
    return list(tasks.values())


def _embed(tasks: list[ReadTask], jobs: Mapping[str, _Job], progress: bool) -> None:
    """Decode in worker processes, encode here."""
    batchers = _batchers(jobs, {name for task in tasks for name in task.geometries})
    outcomes = run_isolated(
        read_clip,
        tasks,
        n_workers=max(n_processors() - 1, 1),
        timeout_s=DECODE_TIMEOUT_S,
        step="decode",
    )
    for task, outcome in tqdm(outcomes, "extract", len(tasks), unit="clip", disable=not progress):
        result = ReadResult.failed(task, outcome) if isinstance(outcome, MediaError) else outcome
        for name, error in result.errors.items():
            jobs[name].errors[task.sha256] = error
        for name, (time_s, rows) in result.sound.items():
            jobs[name].keep(task.sha256, time_s, rows)
        for name, geometry in task.geometries.items():
            if name not in result.errors:
                key = (task.sha256, result.frame_time_s)
                _keep_complete(jobs[name], batchers[name].add(key, result.pictures[geometry]))
    for name, batcher in batchers.items():
        _keep_complete(jobs[name], batcher.flush())


def _batchers(jobs: Mapping[str, _Job], names: set[str]) -> "dict[str, Batcher[_Pending]]":
    if not names:
        return {}
    # torch is imported only here: a run with everything cached never pays for it.
    from features.encoding import Batcher, FrameModel, default_device

    encoders = {name: jobs[name].encoder for name in jobs if name in names}
    return {
        name: Batcher(FrameModel(encoder, default_device()))
        for name, encoder in encoders.items()
        if isinstance(encoder, FrameEncoder)
    }


def _keep_complete(job: _Job, complete: list[tuple[_Pending, NDArray[np.float32]]]) -> None:
    for (sha256, time_s), rows in complete:
        job.keep(sha256, time_s, rows)
