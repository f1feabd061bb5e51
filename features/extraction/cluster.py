"""Work on a Ray cluster: a slot for each GPU, or each machine without one, takes chunks of work.

Ray starts processes on machines, brings them what they are told and tells when they have died; all
that is here is who gets what next. A slot makes its worker once, such as an `Embedder` with its
networks, and then does chunk after chunk: clip ids go to it, and which of them failed comes back.
Pieces of clips stay on the machine that decodes them, and embeddings go into the shared cache, so
what is lost with a machine is the chunk that it was busy with. Other slots get its halves; in the
end what kills all of them is alone, and has failed when a second one died of it.
"""

import logging
import math
import os
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

import joblib

from features.encoders.base import Encoder
from features.errors import ClusterError, MediaError
from features.extraction.embedder import Embedder, EncoderRun
from features.extraction.index import clip_progress
from features.extraction.reading import ClipToRead
from features.extraction.workers import Failure
from features.identity import Sampling

Item = TypeVar("Item")
Work = Callable[[list[Any]], Any]

_FIRST_CHUNK, _LARGEST_CHUNK = 64, 1024
_CHUNK_S = 30.0  # what a chunk shall take: at its end, decoders wait for the encoder
_N_STARTS = 3  # that may fail on a machine, until it is left alone
_N_CONNECTS = 3  # to a head whose process for us died: it may do better at once
_POLL_S = 1.0
_NO_MACHINE_LIMIT_S = 600.0


class Cluster(AbstractContextManager["Cluster"]):
    """A Ray cluster, reached when there is work: one that is there, or this machine alone.

    Parameters
    ----------
    on : str
        ``ray``: the cluster that ``RAY_ADDRESS`` names (``auto`` on its machines), else this
        machine, with a slot for each GPU. ``ray://host:port``: another cluster, by Ray's client.
        Anything else is a ClusterError, and so is Ray where it is not installed.
    """

    def __init__(self, on: str) -> None:
        if on != "ray" and not on.startswith("ray://"):
            raise ClusterError(f"cannot run on {on!r}: expected `ray` or `ray://host:port`")
        try:
            import ray
        except ImportError:
            raise ClusterError(f"to run on {on}, install Ray: pip install 'eri[ray]'") from None
        self._ray, self._on, self._is_ours = ray, on, False

    def __exit__(self, *_: object) -> None:
        if self._is_ours:
            self._ray.shutdown()

    def embed(
        self, clips: Sequence[ClipToRead], runs: Mapping[str, EncoderRun], *, progress: bool
    ) -> None:
        """Embed clips as `Embedder.embed` does; every machine has to see the cache and the media.

        It is a ClusterError when no machine can do it, or one would make other embeddings.
        """
        if not clips:
            return
        encoders = {name: (run.encoder, run.identity) for name, run in runs.items()}
        first = next(iter(runs.values()))
        make = partial(_ClipEmbedder, encoders, first.sampling, first.cache_root)
        with clip_progress("extract", len(clips), shown=progress) as advance:
            for chunk, result in self.run(make, clips, len(clips), _FIRST_CHUNK):
                died = isinstance(result, Failure)
                error = MediaError("encode", result.reason) if died else None
                for clip in chunk:
                    for name in clip.kinds:
                        runs[name].note(clip.sha256, error or result.get((name, clip.sha256)))
                advance(len(chunk))

    def run(
        self, make: Callable[[int], Work], items: Iterable[Item], n_items: int, size: int = 1
    ) -> Iterator[tuple[list[Item], Any]]:
        """Have items done, chunk by chunk, in any order; what the work raises is raised here.

        It is a ClusterError when there is no cluster, none of its machines can make what does the
        work, or there is no machine for ten minutes.

        Parameters
        ----------
        make : callable
            Given a number of processors, it makes what does a chunk (a list of items) in a slot.
        items : iterable
            Drawn as slots become free. They and all results must pickle.
        n_items : int
            How many they are.
        size : int
            How many items are in a chunk; if more than one, later ones take `_CHUNK_S` each.

        Yields
        ------
        chunk : list
            Items that are done.
        result : object
            What came of them; a `Failure` for a single item that slots died of.
        """
        self._connect()
        made = self._ray.put((make, str(Path.cwd())))
        run = _Run(self._ray, made, iter(items), n_items, size, size)
        try:
            yield from run.events()
        finally:
            run.end()

    def _connect(self) -> None:
        """Reach the cluster, or start one, unless that is done."""
        if self._ray.is_initialized():
            return
        address = self._on if self._on != "ray" else os.environ.get("RAY_ADDRESS", "local")
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if address == "local":
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            options |= {"include_dashboard": False, "object_store_memory": 2**29}
            options["num_cpus"] = joblib.cpu_count()
        for n_left in reversed(range(_N_CONNECTS)):
            try:
                self._ray.init(address, **options)
                break
            except Exception as error:  # a node that starts too slowly raises a plain one
                self._ray.shutdown()  # a connection made by half would be in the way of the next
                if not n_left or not isinstance(error, ConnectionAbortedError):
                    raise ClusterError(f"no Ray cluster answers at {address}: {error}") from error
                time.sleep(_POLL_S)
        self._is_ours = True


@dataclass(eq=False)
class _Chunk(Generic[Item]):
    items: list[Item]
    has_killed: bool = False  # a slot died of it
    begun_s: float = 0.0


@dataclass
class _Run(Generic[Item]):
    """What `Cluster.run` was asked for, and which slot is busy with what."""

    ray: Any
    made: Any
    items: Iterator[Item]
    n_left: int
    first_size: int
    size: int
    again: deque[_Chunk[Item]] = field(default_factory=deque)
    slots: dict[Any, str] = field(default_factory=dict)  # and the machine of each
    idle: list[Any] = field(default_factory=list)
    busy: dict[Any, tuple[Any, _Chunk[Item] | None]] = field(default_factory=dict)
    """Slots by the call that they are busy with; without a chunk they start."""
    n_failed_starts: Counter[str] = field(default_factory=Counter)
    reason: str = "there is none"

    def events(self) -> Iterator[tuple[list[Item], Any]]:
        """Yield what is done, until all is."""
        looked_s, seen_s = -math.inf, time.monotonic()
        while self.n_left or self.again or any(chunk for _, chunk in self.busy.values()):
            now_s, n_failed = time.monotonic(), max(self.n_failed_starts.values(), default=0)
            if now_s - looked_s > _POLL_S:
                looked_s = now_s
                self._start_slots()
            if self.slots:
                seen_s = now_s
            elif n_failed >= _N_STARTS or now_s - seen_s > _NO_MACHINE_LIMIT_S:
                raise ClusterError(f"no machine of the cluster can do the work: {self.reason}")
            self._give_chunks()
            if self.busy:
                done, _ = self.ray.wait([*self.busy], timeout=_POLL_S)
                for call in done:
                    yield from self._hear(call)
            else:
                time.sleep(_POLL_S)

    def end(self) -> None:
        """End all slots, busy or not."""
        closed = [slot.close.remote() for slot in self.idle]
        with suppress(self.ray.exceptions.RayError):
            self.ray.wait(closed, num_returns=len(closed), timeout=5) if closed else None
        for slot in self.slots:
            self.ray.kill(slot)

    def _start_slots(self) -> None:
        """Start slots on machines that have none yet, or whose slots have died."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        n_chunks = math.ceil(self.n_left / self.first_size) + len(self.again)
        there = Counter(self.slots.values())
        for node in self.ray.nodes():
            name, has = node["NodeID"], node["Resources"] if node["Alive"] else {}
            n_gpus, n_cpus = int(has.get("GPU", 0)), int(has.get("CPU", 0))
            n_slots = n_gpus or min(n_cpus, 1)
            if self.n_failed_starts[name] >= _N_STARTS:
                continue
            for _ in range(min(n_slots - there[name], n_chunks - len(self.idle))):
                slot = self.ray.remote(_Slot).options(
                    num_cpus=n_cpus // n_slots,
                    num_gpus=min(n_gpus, 1),
                    scheduling_strategy=NodeAffinitySchedulingStrategy(name, soft=False),
                )
                begun = slot.remote(self.made, max(n_cpus // n_slots, 1))
                self.slots[begun] = name
                self.busy[begun.start.remote()] = begun, None

    def _give_chunks(self) -> None:
        while self.idle and (self.again or self.n_left):
            if self.again:
                chunk = self.again.popleft()
            else:  # small ones in the end, so that all slots end together
                n_shares = 2 * len(self.slots) if len(self.slots) > 1 else 1
                share = max(self.n_left // n_shares, self.size // 8, 1)
                chunk = _Chunk([*islice(self.items, min(self.size, share, self.n_left))])
                self.n_left -= len(chunk.items)
            slot = self.idle.pop()
            chunk.begun_s = time.monotonic()
            self.busy[slot.do.remote(chunk.items)] = slot, chunk

    def _hear(self, call: Any) -> Iterator[tuple[list[Item], Any]]:
        slot, chunk = self.busy.pop(call)
        try:
            result = self.ray.get(call)
        except self.ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except self.ray.exceptions.RayError as error:  # the slot has died, or its machine
            self.reason = " ".join(str(error).split())
            node = self.slots.pop(slot)
            if chunk is None:
                self.n_failed_starts[node] += 1
            elif middle := len(chunk.items) // 2:
                self.again += _Chunk(chunk.items[:middle]), _Chunk(chunk.items[middle:])
            elif chunk.has_killed:
                yield chunk.items, Failure(f"two processes died of it: {self.reason}")
            else:
                self.again.append(_Chunk(chunk.items, has_killed=True))
            return
        self.idle.append(slot)
        if chunk is None:
            self.n_failed_starts[self.slots[slot]] = 0
            return
        if self.first_size > 1:
            took_s = time.monotonic() - chunk.begun_s
            size = math.ceil(len(chunk.items) * _CHUNK_S / max(took_s, 1e-3))
            self.size = min(max(size, self.first_size // 8), _LARGEST_CHUNK)
        yield chunk.items, result


class _Slot:
    """An actor of Ray's: a process on a machine, which makes its worker once."""

    def __init__(self, made: tuple[Callable[[int], Work], str], n_processors: int) -> None:
        self._make, self._folder = made
        self._n_processors = n_processors
        self._work: Any = None

    def start(self) -> None:
        """Make what does the work: in `__init__`, Ray would take its error for the slot's death."""
        with suppress(FileNotFoundError):  # a machine with another disk has absolute paths only
            os.chdir(self._folder)
        self._work = self._make(self._n_processors)

    def do(self, items: list[Any]) -> Any:
        """Do a chunk."""
        return self._work(items)

    def close(self) -> None:
        """Leave nothing behind."""
        self._work.close()


class _ClipEmbedder:
    """In a slot: an `Embedder`, which embeds chunks of clips into the shared cache."""

    def __init__(
        self,
        encoders: Mapping[str, tuple[Encoder, str]],
        sampling: Sampling,
        cache_root: Path | str,
        n_processors: int,
    ) -> None:
        self._embedder = Embedder(n_processors)
        self._runs = {
            name: EncoderRun(name, encoder, sampling, cache_root)
            for name, (encoder, _) in encoders.items()
        }
        for name, run in self._runs.items():
            if run.identity != encoders[name][1]:
                raise ClusterError(
                    f"{socket.gethostname()} would make other embeddings with {name!r} than this "
                    "machine: install the same version of eri, and bring the same weights"
                )

    def __call__(self, clips: list[ClipToRead]) -> dict[tuple[str, str], MediaError]:
        """Embed clips; return why some failed, by encoder and digest."""
        for run in self._runs.values():
            run.failed.clear()
        # A face detector's file, for one, may lie elsewhere here.
        kinds = {name: run.pieces for name, run in self._runs.items()}
        mine = [clip._replace(kinds={n: kinds[n] for n in clip.kinds}) for clip in clips]
        self._embedder.embed(mine, self._runs, progress=False)
        failed = ((name, run.failed) for name, run in self._runs.items())
        return {(name, sha256): why for name, each in failed for sha256, why in each.items()}

    def close(self) -> None:
        """End its decode workers."""
        self._embedder.close()
