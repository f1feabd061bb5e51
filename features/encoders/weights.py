"""Where weights come from: a tag of a library, a local file, or a seed."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from features.encoders.base import EncoderError

if TYPE_CHECKING:
    import torch

RANDOM = "random"
_SUFFIXES = {".bin", ".pt", ".pth", ".safetensors"}

Model = TypeVar("Model", bound="torch.nn.Module")


def weights_file(weights: str, tags: Sequence[str], fetch: Callable[[str], Path]) -> Path:
    """Find the file that holds the weights.

    Parameters
    ----------
    weights : str
        A tag or a path; the caller has dealt with ``random``.
    tags : sequence of str
        The tags that the library has for this model.
    fetch : callable
        From a tag to a file, through the library's own download and cache.

    Raises
    ------
    EncoderError
        When it is neither a known tag nor a file, or the download fails. There is no fallback.
    """
    if weights in tags:
        try:
            return fetch(weights)
        except Exception as error:  # whatever network, hub or disk has to say
            raise EncoderError(
                f"the weights {weights!r} cannot be fetched ({_one_line(error)}). Expected a "
                "network, or the file in the library's local cache. Otherwise set `weights:` to a "
                f"local file, or to `{RANDOM}` for an offline demo."
            ) from error
    path = Path(weights).expanduser()
    if path.is_file():
        return path
    if path.suffix in _SUFFIXES or "/" in weights:
        raise EncoderError(f"there is no weights file {weights}: correct the path after `weights:`")
    raise EncoderError(
        f"unknown weights {weights!r}: expected one of {[*tags, RANDOM]} or the path of a file"
    )


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seeded(build: Callable[[], Model], seed: int) -> Model:
    """Build a network with random weights that depend on `seed` alone."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def foreign_weights(path: Path, model: str, error: Exception) -> EncoderError:
    """Say that a weights file belongs to another architecture than `model`."""
    return EncoderError(
        f"the weights file {path} does not fit {model}: {_one_line(error, limit=300)} "
        "Set `model:` to the architecture that the file was saved from."
    )


def _one_line(error: Exception, limit: int = 200) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= limit else text[:limit] + " …"
