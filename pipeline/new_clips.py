"""New clips, embedded by the encoders of bundles: the vectors that their heads take."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError

from features.cache import default_cache_root
from features.encoders import Encoder, EncoderError, Recogniser, make_encoder
from features.errors import MediaError
from features.extraction.embedder import Embedder, EncoderRun, plan, unusable
from features.extraction.index import index_files, iterate_clips
from features.pool import pool_clips
from features.store import FeatureStore
from features.transcripts import clips_of_words, heard_transcripts
from pipeline.bundle import Bundle, BundleError, EncoderEntry
from pipeline.clip_ids import find_media
from pipeline.paths import HEARD

_IMPORTED = MediaError("stream", "imported features: it embeds no new clips")

Paths = str | Path | Iterable[str | Path]
Made = TypeVar("Made", bound=Encoder)


@dataclass(frozen=True)
class EmbeddedClips:
    """Clips whose embeddings are in the cache, or that have none.

    Attributes
    ----------
    clips : DataFrame
        From `features.extraction.index_files`.
    runs : mapping of str to EncoderRun
        By encoder: where its embeddings are, if some clip had something for it.
    tables : mapping of str to DataFrame
        By encoder: the clips as it takes them. Those of an encoder of text hold what is said.
    missing : mapping of str to mapping of str to MediaError
        By clip id: why encoders have nothing of it, by encoder.
    """

    clips: pd.DataFrame
    runs: Mapping[str, EncoderRun]
    tables: Mapping[str, pd.DataFrame]
    missing: Mapping[str, Mapping[str, MediaError]]


class ClipEmbedder:
    """The encoders of bundles, which embed new clips; one call at a time.

    Decode workers and encoders stay loaded from one call to the next. Close it, or use it as a
    context manager, to free them earlier than its last use.

    Attributes
    ----------
    bundles : sequence of Bundle
        No two of them have a target or an encoder of one name.
    encoders : dict of str to Encoder
        Those that the heads were fitted on, by name.
    """

    def __init__(self, bundles: Sequence[Bundle], *, clip_limit_s: float = math.inf) -> None:
        self.bundles = bundles
        said = [each.description for each in bundles]
        self._entries = {n: (entry, each) for each in said for n, entry in each.encoders.items()}
        specs = {name: entry.spec for name, (entry, _) in self._entries.items()}
        self.encoders = {n: _made(make_encoder, n, s) for n, s in specs.items() if s is not None}
        self._hearing = {  # one that several bundles name hears once
            f"{HEARD} {each.recogniser.identity}": (each.recogniser, each)
            for each in said
            if each.recogniser is not None
        }
        self._recognisers = {
            name: _made(Recogniser.model_validate, name, entry.spec)
            for name, (entry, _) in self._hearing.items()
        }
        self._embedder = Embedder(clip_limit_s=clip_limit_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the decode workers and let go of the encoders."""
        self._embedder.close()

    @property
    def random_encoders(self) -> list[str]:
        """Encoders whose weights are random: what is made of them means nothing."""
        specs = {name: entry.spec or {} for name, (entry, _) in self._entries.items()}
        return [name for name, spec in specs.items() if spec.get("weights") == "random"]

    def embed(
        self,
        paths: Paths,
        *,
        cache_root: Path | None = None,
        max_duration_s: float = math.inf,
        progress: bool = True,
    ) -> EmbeddedClips:
        """Embed media files, for a table, windows, or both.

        Parameters
        ----------
        paths : path or iterable of paths
            Videos, sounds, or pictures, which are clips of one frame; a folder stands for all media
            files below it.
        cache_root : Path, optional
            Where embeddings are kept; default: `features.cache.default_cache_root`.
        max_duration_s : float
            Nothing of a longer clip is used.
        progress : bool
            Show progress bars on standard error.

        Returns
        -------
        EmbeddedClips
            Good for as long as the cache stays.

        Raises
        ------
        BundleError
            When an encoder here is not the one that the heads were fitted on.
        EncoderError
            When an encoder cannot be had.
        ParamsError
            When no media files are found, or two would have the same id.
        OSError
            When the cache cannot be written.
        """
        given = [paths] if isinstance(paths, str | Path) else paths
        files = find_media(Path(path) for path in given)
        table = index_files(files, workers=self._embedder.workers, progress=progress)
        limits = {"max_duration_s": max_duration_s, "progress": progress}
        place = cache_root or default_cache_root()
        others = {name: e for name, e in self.encoders.items() if e.modality != "words"}
        runs = self._embed({**others, **self._recognisers}, table, place, **limits)
        tables = dict.fromkeys(self._entries, table)
        for hearer, recogniser in self._recognisers.items():
            identity = self._hearing[hearer][0].identity
            readers = {
                name: self.encoders[name]
                for name, (_, its) in self._entries.items()
                if its.recogniser and its.recogniser.identity == identity and name not in others
            }
            heard = runs[hearer].stored_clips(table) if hearer in runs else ()
            transcripts = heard_transcripts(recogniser, heard, table)
            with clips_of_words(transcripts, table) as words:
                runs |= self._embed(readers, words, place, **limits)
            tables |= dict.fromkeys(readers, words)
        missing: dict[str, dict[str, MediaError]] = {clip_id: {} for clip_id in table["clip_id"]}
        for name in self._entries:
            failed = runs[name].errors(tables[name]) if name in runs else {}
            for clip in iterate_clips(tables[name]):
                error: MediaError | None = _IMPORTED
                if name in self.encoders:
                    error = unusable(self.encoders[name], clip) or failed.get(clip.clip_id)
                if error is not None:
                    missing[clip.clip_id][name] = error
        return EmbeddedClips(table, runs, tables, missing)

    def vectors(
        self, embedded: EmbeddedClips, number: int, windows_s: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float32]]:
        """Pool the embeddings of a clip inside windows of its time, as in training.

        Parameters
        ----------
        embedded : EmbeddedClips
            From `embed`.
        number : int
            Which of its clips.
        windows_s : ndarray of float64, shape (n_windows, 2)
            Begins and ends, the end outside.

        Returns
        -------
        dict of str to ndarray of float32, shape (n_windows, width)
            By encoder; NaN where a window has no embedding. The only embedding of a clip, such as
            functionals of all its sound, counts in every window.
        """
        begin_s, end_s = windows_s[:, :1], windows_s[:, 1:]
        vectors = {}
        for name, (entry, description) in self._entries.items():
            vectors[name] = np.full((len(windows_s), entry.width), np.nan, np.float32)
            run, row = embedded.runs.get(name), embedded.tables[name][number : number + 1]
            for _, _, stored in run.stored_clips(row) if run else ():
                inside = (begin_s <= stored.time_s) & (stored.time_s < end_s)
                windows, at = np.nonzero(inside | (len(stored.time_s) == 1))
                if len(windows) == 0:
                    continue
                level = {"level": "clip"} if self.encoders[name].is_clip_level() else {}
                ids = windows.astype(str).astype(object)
                track = None if stored.track is None else stored.track[at]
                store = FeatureStore(ids, stored.time_s[at], stored.values[at], level, track=track)
                vectors[name][np.unique(windows)] = pool_clips(store, description.pooling)[1]
        return vectors

    def _embed(
        self, encoders: Mapping[str, Encoder], table: pd.DataFrame, place: Path | str, **limits: Any
    ) -> dict[str, EncoderRun]:
        """Embed clips by the encoders that some clip has something for, and return these."""
        clips, runs = list(iterate_clips(table)), {}
        for name, encoder in encoders.items():
            if any(unusable(encoder, clip) is None for clip in clips):
                entry, description = (self._entries | self._hearing)[name]
                runs[name] = EncoderRun(name, encoder, description.sampling, place)
                _check_identity(runs[name], entry)
        for run in runs.values():
            run.check(table)  # they are read later, when nothing is computed any more
        self._embedder.embed(plan(table, runs), runs, **limits)
        return runs


def _made(make: Callable[[Any], Made], name: str, spec: Mapping[str, Any] | None) -> Made:
    try:
        return make(spec)
    except (EncoderError, ValidationError) as error:
        told = " ".join(str(error).split("\n", 1)[-1].split())[:300]  # but for its title
        what = f"the bundle's encoder {name!r} cannot be made by this version"
        raise BundleError(f"{what}: {told}") from error


def _check_identity(run: EncoderRun, entry: EncoderEntry) -> None:
    if run.identity != entry.identity:
        of_weights = run.encoder.weights_digest() != entry.weights_digest
        what = "weights" if of_weights else "preprocessing, sampling or version of the extraction"
        raise BundleError(
            f"the encoder {run.name!r} here is not the one that the heads were fitted on (other "
            f"{what}: identity {run.identity[:12]}… instead of {entry.identity[:12]}…): bring the "
            "weights and the version of then, or make the bundle anew"
        )
