"""Encoders that are outputs of one network, on the same pictures, share its forward pass."""

from collections.abc import Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from features.encoders import FrameEncoder
from features.extraction.job import EncoderJob


class Pass:
    """A forward pass for one or several encoders.

    Parameters
    ----------
    key : str
        Equal for equal passes.
    encoders : mapping of str to FrameEncoder
        By name: those that share it.
    """

    def __init__(self, key: str, encoders: Mapping[str, FrameEncoder]) -> None:
        self.key = key
        self._encoders = encoders

    @cached_property
    def encoder(self) -> FrameEncoder:
        """What has the outputs of them all."""
        first, *others = self._encoders.values()
        return first.with_outputs_of(others) if others else first

    @cached_property
    def columns(self) -> Mapping[str, NDArray[np.intp] | slice]:
        """Which columns of its embeddings are whose; this may open the network."""
        widths = self.encoder.columns() if len(self._encoders) > 1 else {}
        if not widths:  # one encoder, perhaps under several names
            return dict.fromkeys(self._encoders, slice(None))
        ends = np.cumsum(list(widths.values()))
        place = {
            output: np.arange(end - width, end)
            for (output, width), end in zip(widths.items(), ends, strict=True)
        }
        return {
            name: np.concatenate([place[output] for output in each.columns()])
            for name, each in self._encoders.items()
        }


def passes_of(jobs: Mapping[str, EncoderJob]) -> dict[str, Pass]:
    """Find the pass of each encoder of frames, by name.

    Raises
    ------
    EncoderError
        When weights cannot be had.
    """
    shared: dict[str, dict[str, FrameEncoder]] = {}
    for name, job in jobs.items():
        if isinstance(job.encoder, FrameEncoder):
            key = job.encoder.network_key() or job.identity
            shared.setdefault(key, {})[name] = job.encoder
    found: dict[str, Pass] = {}
    for encoders in shared.values():
        key = "+".join(sorted({jobs[name].identity for name in encoders}))
        found |= dict.fromkeys(encoders, Pass(key, encoders))
    return found
