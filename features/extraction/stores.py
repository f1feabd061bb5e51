"""From clips to feature stores on disk, or to one store in memory."""

import errno
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from features.cache import LostError, default_cache_root
from features.encoders import Encoder, make_encoder
from features.errors import EncoderError, MediaError
from features.extraction.cluster import Cluster
from features.extraction.embedder import Embedder, EncoderRun, plan, unusable
from features.extraction.index import index_files, iterate_clips
from features.identity import Sampling
from features.store import (
    FeatureStore,
    check_replaceable,
    read_store,
    write_failures,
    write_store,
)

_N_ROUNDS = 3  # of embedding what was cached and turns out to be lost


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
        needs, ``weights`` that the encoder is left out; every other step is a fault.
    left_out : dict of str to str
        The optional encoders whose weights cannot be had, and why. They have no store.
    """

    n_embedded: dict[str, int]
    n_computed: dict[str, int]
    failures: dict[str, pd.DataFrame]
    left_out: dict[str, str]


def extract(
    clips: pd.DataFrame,
    encoders: Mapping[str, Encoder],
    sampling: Sampling,
    destination: Path,
    *,
    cache_root: Path | str | None = None,
    on: str | None = None,
    progress: bool = True,
) -> ExtractReport:
    """Embed every clip with every encoder, and write one store and failure table per encoder.

    What the cache holds is not computed again; clips with equal bytes are embedded once.

    Parameters
    ----------
    clips : DataFrame
        The clip table of `features.extraction.index_files`; further columns are ignored.
    encoders : mapping of str to encoder
        By name; the name becomes the store's.
    sampling : Sampling
        How frames and sound are sampled.
    destination : Path
        ``<destination>/<name>/`` and ``<destination>/<name>.failures.parquet`` are written.
    cache_root : Path or str, optional
        A folder, or an address of an object store; default: `features.cache.default_cache_root`.
    on : str, optional
        Embed on a Ray cluster, as `features.extraction.cluster.Cluster` names it. The stores are
        written here, and are the same.
    progress : bool
        Show a progress bar on standard error.

    Raises
    ------
    ClusterError
        When the cluster cannot be had, or its machines cannot embed these clips.
    EncoderError
        When an encoder that is not `optional` cannot be had, or one could embed no clip at all.
    OSError
        When the cache or the destination cannot be written. What was finished by then is kept.
    """
    for name in encoders:  # before hours of work, and before weights are fetched
        check_replaceable(destination / name)
    ruled_out = {
        name: {clip.clip_id: why for clip in iterate_clips(clips) if (why := unusable(each, clip))}
        for name, each in encoders.items()
    }
    _check_some_embedded(len(clips), ruled_out)
    root = cache_root or default_cache_root()
    runs, left_out = {}, {}
    for name, each in encoders.items():
        try:
            runs[name] = EncoderRun(name, each, sampling, root)
        except EncoderError as error:
            if not each.optional:
                raise
            left_out[name] = str(error)
    with Embedder() if on is None else Cluster(on) as embedder:
        for _ in range(_N_ROUNDS):
            embedder.embed(plan(clips, runs), runs, progress=progress)
            errors = {name: run.errors(clips) for name, run in runs.items()}
            _check_some_embedded(len(clips), errors)
            try:
                for name, run in runs.items():
                    write_store(destination / name, run.stored_clips(clips), run.metadata())
                break
            except LostError:  # of what was damaged, the cache has warned
                for run in runs.values():
                    run.check(clips)
        else:
            raise OSError(
                errno.EIO,
                f"what is put into the embedding cache is lost or damaged, {_N_ROUNDS} times in a "
                "row: see that every machine has the same cache, or set ERI_CACHE to another place",
            )
    failures = {}
    for name in encoders:
        if name in left_out:
            failures[name] = leave_out(name, left_out[name], clips, destination)
        else:
            rows = [(clip_id, why.step, why.reason) for clip_id, why in errors[name].items()]
            failures[name] = pd.DataFrame(rows, columns=["clip_id", "step", "reason"])
            write_failures(destination / f"{name}.failures.parquet", failures[name])
    return ExtractReport(
        n_embedded={name: len(clips) - len(failed) for name, failed in failures.items()},
        n_computed={name: runs[name].n_computed if name in runs else 0 for name in encoders},
        failures=failures,
        left_out=left_out,
    )


def leave_out(name: str, reason: str, clips: pd.DataFrame, destination: Path) -> pd.DataFrame:
    """Write and return the failure table of an encoder that embeds no clip; an old store goes."""
    if (destination / name).exists():  # of an earlier call, and of other clips
        shutil.rmtree(destination / name)
    failures = pd.DataFrame({"clip_id": clips["clip_id"], "step": "weights", "reason": reason})
    write_failures(destination / f"{name}.failures.parquet", failures)
    return failures


def embed_files(
    paths: Path | str | Iterable[Path | str],
    encoder: Encoder | Mapping[str, Any],
    *,
    frame_rate_hz: float = 3.0,
    sample_rate_hz: int = 16000,
    cache_root: Path | str | None = None,
    progress: bool = True,
) -> tuple[FeatureStore, pd.DataFrame]:
    """Embed media files with one encoder, for a notebook; what the cache holds is reused.

    Parameters
    ----------
    paths : path or iterable of paths
        Videos, sounds or pictures. A clip's id is its path as given.
    encoder : mapping or Encoder
        As an entry under ``encoders`` in ``params.yaml``, for example
        ``{"kind": "torchvision", "model": "resnet50", "weights": "IMAGENET1K_V2"}``.
    frame_rate_hz : float
        Frames per second of clip time.
    sample_rate_hz : int
        Rate that sound is resampled to.
    cache_root : Path, optional
        Default: `features.cache.default_cache_root`.
    progress : bool
        Show progress bars on standard error.

    Returns
    -------
    store : FeatureStore
        Rows in the order of the paths, then of time.
    failures : DataFrame
        ``clip_id, step, reason`` of files that could not be embedded.

    Raises
    ------
    EncoderError, OSError
        As `extract`.

    Examples
    --------
    >>> import tempfile, wave
    >>> import numpy as np
    >>> sound = 8000 * np.sin(np.arange(16000) / 20)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/tone.wav"
    ...     with wave.open(path, "wb") as file:
    ...         file.setparams((1, 2, 16000, 0, "NONE", ""))
    ...         file.writeframes(sound.astype("<i2").tobytes())
    ...     spec = {"kind": "opensmile", "model": "eGeMAPSv02"}
    ...     store, failures = embed_files(
    ...         [path, "gone.wav"], spec, cache_root=f"{folder}/cache", progress=False
    ...     )
    >>> store.embedding.shape
    (1, 88)
    >>> failures[["clip_id", "step", "reason"]].values.tolist()
    [['gone.wav', 'read', 'there is no file gone.wav']]
    """
    made = encoder if isinstance(encoder, Encoder) else make_encoder(encoder)
    encoders = {"encoder": made.model_copy(update={"optional": False})}
    sampling = Sampling(frame_rate_hz=frame_rate_hz, sample_rate_hz=sample_rate_hz)
    given = [paths] if isinstance(paths, str | Path) else paths
    clips = index_files({str(path): Path(path) for path in given}, progress=progress)
    with tempfile.TemporaryDirectory() as folder:
        report = extract(
            clips, encoders, sampling, Path(folder), cache_root=cache_root, progress=progress
        )
        return read_store(Path(folder, "encoder")), report.failures["encoder"]


def _check_some_embedded(n_clips: int, errors: Mapping[str, Mapping[str, MediaError]]) -> None:
    """Refuse, all at once, encoders that fail on each of the clips: no store would be left."""
    none = {name: [*each.values()][:1] for name, each in errors.items() if len(each) == n_clips}
    if none:
        said = [f"{name!r} ({', '.join(map(str, first))})" for name, first in none.items()]
        raise EncoderError(
            f"of {n_clips} clips none was embedded by {', '.join(said)}. Mend the clips, or take "
            f"{', '.join(map(repr, none))} out of `encoders:`"
        )
