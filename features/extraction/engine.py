"""The loop: decode workers read clips once for all encoders, batches across clips are embedded."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from features.encoders import SoundEncoder
from features.encoders.base import FrameModel
from features.extraction.batches import Batcher
from features.extraction.index import iterate_clips
from features.extraction.job import EncoderJob
from features.extraction.passes import Pass, passes_of
from features.extraction.reading import Pictures, ReadTask, Rest, clip_error, read_clip
from features.extraction.workers import Finished, Restarted, Workers
from features.identity import Sampling
from features.media.files import MediaError

if TYPE_CHECKING:
    import torch

_NICENESS = 19  # an encoder on the same processors must never wait for a decoder
STALL_LIMIT_S = 300.0
"""A decode worker that hands over nothing for so long is stuck; 32 frames take it a second.

For sound it has the sound's length on top.
"""


class Engine:
    """Embeds clips. Its decode workers and loaded encoders stay from one call to the next.

    Close it, or use it as a context manager. One call at a time.

    Parameters
    ----------
    clip_limit_s : float
        Longest time that reading one clip may take; without it a clip may take any time, as long
        as it hands over frames.

    Attributes
    ----------
    workers : Workers
        Its decode workers, for other work between calls.
    """

    def __init__(self, *, clip_limit_s: float = math.inf) -> None:
        self.workers = Workers(niceness=_NICENESS)
        self._clip_limit_s = clip_limit_s
        self._models: dict[str, FrameModel] = {}  # by forward pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers and let go of the encoders."""
        self.workers.close()
        self._models.clear()

    def embed(
        self,
        clips: pd.DataFrame,
        jobs: Mapping[str, EncoderJob],
        sampling: Sampling,
        *,
        max_duration_s: float = math.inf,
        progress: bool,
    ) -> None:
        """Embed what the jobs' caches lack, or note why it cannot be.

        What is finished is on disk at once: a run that ends early, however it ends, loses the clips
        that are in batches.

        Parameters
        ----------
        clips : DataFrame
            The clip table.
        jobs : mapping of str to EncoderJob
            By encoder name.
        sampling : Sampling
            How frames and sound are sampled.
        max_duration_s : float
            Longer clips fail; what their headers say is not trusted.
        progress : bool
            Show a progress bar on standard error.

        Raises
        ------
        EncoderError
            When an encoder cannot be loaded.
        OSError
            When a cache cannot be written.
        """
        tasks = plan(clips, jobs, sampling, max_duration_s)
        if not tasks:
            return
        reading: AbstractContextManager[Iterator[tuple[ReadTask, _Event]]] = self.workers.run(
            read_clip,
            tasks,
            stall_limit_s=STALL_LIMIT_S,
            task_limit_s=self._clip_limit_s,
        )
        bar = tqdm(desc="extract", total=len(tasks), unit="clip", disable=not progress)
        with bar, reading as events:
            run = _Run(jobs, tasks, self._model)  # loads networks while the workers read
            for task, event in events:
                run.take(task, event)
                bar.update(isinstance(event, Finished))
            run.finish()

    def _model(self, forward: Pass) -> FrameModel:
        if forward.key not in self._models:
            self._models[forward.key] = forward.encoder.load_model(default_device())
        return self._models[forward.key]


def plan(
    clips: pd.DataFrame,
    jobs: Mapping[str, EncoderJob],
    sampling: Sampling,
    max_duration_s: float = math.inf,
) -> Sequence[ReadTask]:
    """Make one task per clip content that some encoder lacks: all encoders share one decode."""
    tasks: dict[str, ReadTask] = {}
    for clip in iterate_clips(clips):
        if clip.path is not None and clip.sha256 in tasks:  # a copy, in case the first is gone
            task = tasks[clip.sha256]
            tasks[clip.sha256] = task.with_path(clip.path)
            continue
        lacking = [job for job in jobs.values() if job.lacks(clip)]
        if lacking and clip.path is not None:
            recipes = {job.name: job.recipe for job in lacking if job.recipe}
            sound = {
                job.name: job.encoder for job in lacking if isinstance(job.encoder, SoundEncoder)
            }
            tasks[clip.sha256] = ReadTask(
                (clip.path,), clip.sha256, sampling, recipes, sound, max_duration_s
            )
    return list(tasks.values())


_Key = tuple[str, tuple[str, ...]]
"""A clip's digest, and the encoders of one pass that lack the clip."""

_Event = Pictures | Rest | Restarted | Finished


class _Run:
    """Where the parts of clips go."""

    def __init__(
        self,
        jobs: Mapping[str, EncoderJob],
        tasks: Iterable[ReadTask],
        load: Callable[[Pass], FrameModel],
    ) -> None:
        self._jobs = jobs
        self._passes = passes_of(jobs)
        needed = {self._passes[name].key: name for task in tasks for name in task.recipes}
        self._batchers: dict[str, Batcher[_Key]] = {}  # by pass
        for key, name in needed.items():
            forward = self._passes[name]
            self._batchers[key] = Batcher(load(forward), partial(self._keep, forward))
        self._face_share: dict[tuple[str, str], float] = {}  # by encoder and clip digest
        self._rests: dict[str, Rest] = {}  # of clips whose worker has not said that it is through

    def take(self, task: ReadTask, event: _Event) -> None:
        if isinstance(event, Pictures):
            for forward, key in self._passes_of(task):
                if task.recipes[key[1][0]] == event.recipe:
                    self._batchers[forward.key].add(key, event.time_s, event.pictures)
        elif isinstance(event, Rest):
            # Kept until the worker is through: it may die before, and the clip fail after all.
            self._rests[task.sha256] = event
        elif isinstance(event, Restarted):
            self._void(task)
        elif event.failure is not None:
            self._fail(task, clip_error(event.failure, "decode"))
        else:
            self._take_rest(task, self._rests.pop(task.sha256))

    def finish(self) -> None:
        for batcher in self._batchers.values():
            batcher.flush()

    def _take_rest(self, task: ReadTask, rest: Rest) -> None:
        for name, (time_s, rows) in rest.sound.items():
            self._jobs[name].keep(task.sha256, time_s, rows)
        for name, error in rest.errors.items():
            self._jobs[name].fail(task.sha256, error)
        for name, recipe in task.recipes.items():
            if recipe in rest.face_share:
                self._face_share[name, task.sha256] = rest.face_share[recipe]
        for forward, key in self._passes_of(task):
            if key[1][0] in rest.errors:  # then for all of them: they take the same pictures
                self._batchers[forward.key].discard(key)
            else:
                self._batchers[forward.key].end(key)

    def _void(self, task: ReadTask) -> None:
        self._rests.pop(task.sha256, None)
        for forward, key in self._passes_of(task):
            self._batchers[forward.key].discard(key)

    def _fail(self, task: ReadTask, error: MediaError) -> None:
        self._void(task)
        for name in [*task.recipes, *task.sound_encoders]:
            self._jobs[name].fail(task.sha256, error)

    def _passes_of(self, task: ReadTask) -> Iterator[tuple[Pass, _Key]]:
        """Yield the passes that a task's pictures go through, and who lacks the clip."""
        names: dict[str, list[str]] = {}
        for name in task.recipes:
            names.setdefault(self._passes[name].key, []).append(name)
        for lacking in names.values():
            yield self._passes[lacking[0]], (task.sha256, tuple(lacking))

    def _keep(
        self, forward: Pass, key: _Key, time_s: NDArray[np.float64], rows: NDArray[np.float32]
    ) -> None:
        sha256, names = key
        for name in names:
            share = self._face_share.pop((name, sha256), None)
            self._jobs[name].keep(sha256, time_s, rows[:, forward.columns[name]], share)


def default_device() -> "torch.device":
    """Return the GPU where there is one, else the CPU."""
    # It takes seconds to import, and sound does without.
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
