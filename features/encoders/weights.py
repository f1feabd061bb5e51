"""Where weights come from: a tag of a library, a local file, a hub, or a seed."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from features.errors import EncoderError
from features.files import known_stand_in

RANDOM = "random"
HUB = "hf://"
MESSAGE_CHARACTERS = 300
"""How much of what another library says is passed on."""

_SUFFIXES = {".bin", ".ckpt", ".onnx", ".pt", ".pth", ".safetensors"}
_may_download: ContextVar[bool] = ContextVar("may_download", default=True)


def weights_file(
    weights: str,
    tags: Sequence[str] | None = None,
    fetch: Callable[[str], Path] | None = None,
) -> Path:
    """Find the file that holds the weights.

    Parameters
    ----------
    weights : str
        A tag, a path, or ``hf://owner/repo/file``; the caller has dealt with ``random``.
    tags : sequence of str, optional
        The tags that the library has for this model. None: there are neither tags nor random
        weights, only files.
    fetch : callable, optional
        From a tag to a file, through the library's own download and cache.

    Raises
    ------
    EncoderError
        When it is neither a known tag nor a file, or the download fails. There is no fallback.
    """
    if fetch is not None and tags is not None and weights in tags:
        return _fetched(weights, fetch)
    if weights.startswith(HUB):
        return _fetched(weights, _hub_file)
    path = Path(weights).expanduser()
    if path.is_file():
        if known := known_stand_in(path):
            raise EncoderError(f"{path} holds no weights: {known}")
        return path
    if path.suffix in _SUFFIXES or "/" in weights:
        raise EncoderError(f"there is no weights file {weights}: correct the path after `weights:`")
    names = "" if tags is None else f"one of {[*tags, RANDOM]}, "
    raise EncoderError(
        f"unknown weights {weights!r}: expected {names}the path of a file, or {HUB}owner/repo/file"
    )


def torch_hub_file(url: str) -> Path:
    """Fetch a file through torch.hub's download and cache, which check the hash in its name."""
    import torch

    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    if not path.is_file():
        if not _may_download.get():
            raise FileNotFoundError(f"{path.name} has not been downloaded yet")
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = torch.hub.HASH_REGEX.search(path.name)
        torch.hub.download_url_to_file(url, str(path), digest.group(1) if digest else None)
    return path


@contextmanager
def without_download() -> Iterator[None]:
    """Within this context weights that are not on this machine are an error, not a download."""
    from huggingface_hub import constants

    token, offline = _may_download.set(False), constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline
        _may_download.reset(token)


def one_line(error: Exception) -> str:
    """Shorten what another library says to one line."""
    return textwrap.shorten(str(error), MESSAGE_CHARACTERS, placeholder=" …")


def _fetched(weights: str, fetch: Callable[[str], Path]) -> Path:
    try:
        return fetch(weights)
    except EncoderError:
        raise
    except Exception as error:  # whatever network, hub or disk has to say
        raise EncoderError(
            f"the weights {weights!r} cannot be fetched ({one_line(error)}). Expected a "
            "network, or the file in the library's local cache. Otherwise give a local file, or "
            f"for an offline demo `{RANDOM}` where the kind has it."
        ) from error


def _hub_file(weights: str) -> Path:
    from huggingface_hub import hf_hub_download

    parts = weights.removeprefix(HUB).split("/", 2)
    if len(parts) < 3:
        raise ValueError(f"expected {HUB}owner/repo/file")
    return Path(hf_hub_download("/".join(parts[:2]), parts[2]))
