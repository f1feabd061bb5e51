"""Encoders that are outputs of one network, on the same pictures, share its forward pass."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.encoders import FrameEncoder
from features.job import EncoderJob


@dataclass(frozen=True)
class Pass:
    """A forward pass.

    Attributes
    ----------
    key : str
        Equal for equal passes.
    encoder : FrameEncoder
        With the outputs of all encoders that share it.
    columns : dict of str to (ndarray of intp, or slice)
        By encoder name: which columns of its embeddings are that encoder's.
    """

    key: str
    encoder: FrameEncoder
    columns: Mapping[str, NDArray[np.intp] | slice]


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
        key = "+".join(sorted(jobs[name].identity for name in encoders))
        found |= dict.fromkeys(encoders, _join(key, encoders))
    return found


def _join(key: str, encoders: Mapping[str, FrameEncoder]) -> Pass:
    first, *others = encoders.values()
    joined = first.with_outputs_of(others) if others else first
    widths = joined.columns() if others else {}
    if not widths:  # equal encoders under several names, if there are several
        return Pass(key, joined, dict.fromkeys(encoders, slice(None)))
    ends = np.cumsum(list(widths.values()))
    place = {
        output: np.arange(end - width, end)
        for (output, width), end in zip(widths.items(), ends, strict=True)
    }
    columns = {
        name: np.concatenate([place[output] for output in each.columns()])
        for name, each in encoders.items()
    }
    return Pass(key, joined, columns)
