"""The bundle: all that prediction on new clips needs, in a folder of open formats.

``bundle.json`` says what there is, with the SHA-256 of every other file and of itself, so that one
changed byte anywhere is found; nothing is parsed before its digest was checked. Each head and the
stack is a ``.skops`` file, as the stages `fit` and `stack` kept it: nothing is fitted for a bundle.
Nothing in it is code or leads to code, and the training data are not needed. Kernels and neighbours
keep the vectors of training clips as part of what they learned.

Bundles that come with the package are ready: they need no run, and no network.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from features.encoders import Encoder, EncoderError
from features.identity import Sampling
from features.pool import Pooling
from models.heads import Head
from models.persistence import loads
from models.stack import Stack
from pipeline.params import Name
from pipeline.paths import BUNDLE
from pipeline.settings_files import Section
from pipeline.views import JOIN

PROTOCOL = 6
"""Of what is in a bundle. Whoever changes that raises it."""

PINNED = {"lightgbm": "lightgbm", "scikit-learn": "sklearn"}
"""Libraries whose objects may be in the files, which another version may read as something else;
and their modules."""

READY = Path(__file__).parent / "ready"
"""The folder of ready bundles."""

MOST_COLUMNS = 10**7
"""Of a clip vector, so that a wrong number cannot ask for all memory."""

DESCRIPTION, STACK = "bundle.json", "stack.skops"

Made = TypeVar("Made", bound=Encoder)


class BundleError(Exception):
    """A bundle that is missing, damaged, of another version, or cannot be made."""


class EncoderEntry(Section):
    """One encoder, or one imported store, as the heads know it.

    Attributes
    ----------
    spec : dict or None
        Its entry in ``params.yaml``; None for imported features, of which new clips have none.
    identity : str
        `features.identity.encoder_identity` of what made the training vectors.
    weights_digest : str
        Digest of the weights' bytes, or of the imported store.
    width : int
        Number of columns of a pooled clip vector.
    """

    spec: dict[str, Any] | None
    identity: str
    weights_digest: str
    width: int = Field(ge=1, le=MOST_COLUMNS)


class Description(Section):
    """``bundle.json``: what is in the bundle, what the heads take and give, and who wrote it.

    Attributes
    ----------
    protocol, eri : int, str
        `PROTOCOL` of the version that wrote it, and that version.
    versions : dict of str to str
        Libraries that have to be of these versions where it is read.
    targets : tuple of str
        What is predicted, in this order.
    sampling, pooling : Sampling and Pooling
        How clips become vectors.
    encoders, recogniser : dict of str to EncoderEntry, EncoderEntry or None
        Those of some member's view; and what hears the words that encoders of text read.
    members : tuple of str
        ``head/view`` of the fitted heads that the stack listens to, in the order of their files.
    files : dict of str to str
        SHA-256 of every other file by name: the heads in order, then the stack.
    refit_on, n_clips, n_people : str, int, int
        ``train`` or ``train+val``: labelled clips that heads were fitted on, and who they show.
    n_compared, largest_difference : int, float or None
        Clips predicted again, and how far off ``predictions.csv`` that is, in target units.
    """

    protocol: int
    eri: str
    versions: dict[str, str]
    targets: tuple[str, ...] = Field(min_length=1)
    sampling: Sampling
    pooling: Pooling
    encoders: dict[Name, EncoderEntry]
    recogniser: EncoderEntry | None = None
    members: tuple[str, ...] = Field(min_length=1)
    files: dict[str, str]
    refit_on: str
    n_clips: int
    n_people: int
    n_compared: int = 0
    largest_difference: float | None = None

    def columns(self) -> list[list[str]]:
        """Return the encoders whose vectors each member takes side by side, in this order."""
        return [name.partition("/")[2].split(JOIN) for name in self.members]


@dataclass(frozen=True)
class Bundle:
    """What a bundle says of itself; its heads, and the stack that combines them in their order.

    Parts that do not fit together are a ValueError.
    """

    description: Description
    heads: tuple[Head, ...]
    stack: Stack

    def __post_init__(self) -> None:
        said = self.description
        widths: dict[str, int] = {}
        for name, head, view in zip(said.files, self.heads, said.columns(), strict=False):
            widths |= {each: said.encoders[each].width for each in view}
            width = sum(widths[each] for each in view)
            if not isinstance(head, Head) or head.n_features_in_ != width:
                raise ValueError(f"{name}: expected a head on {width} columns, found {head!r:.100}")
        shape = len(said.members), len(said.targets)
        if not isinstance(self.stack, Stack) or self.stack.center.shape != shape:
            raise ValueError(f"{STACK}: expected one for {shape[0]} heads, {shape[1]} targets")
        predicted = self.predict({k: np.zeros((1, n), np.float32) for k, n in widths.items()})
        if predicted.shape != (1, shape[1]) or not np.isfinite(predicted).all():
            raise ValueError(f"it does not predict {shape[1]} numbers")

    def predict(self, vectors: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
        """Predict all targets (n_clips, n_targets) from clip vectors (n_clips, width) by encoder.

        A clip that lacks an encoder's has NaN there.
        """
        predicted = [
            head.predict(np.concatenate([vectors[name] for name in names], axis=1))
            for head, names in zip(self.heads, self.description.columns(), strict=True)
        ]
        return self.stack.predict(np.stack(predicted, axis=1))

    def named(self, name: str) -> "Bundle":
        """Return it with a name before those of its targets and encoders: ``voice.Anger``."""
        if not name:
            return self
        said = self.description
        views = [JOIN.join(f"{name}.{each}" for each in names) for names in said.columns()]
        changes = {
            "targets": tuple(f"{name}.{each}" for each in said.targets),
            "encoders": {f"{name}.{key}": each for key, each in said.encoders.items()},
            "members": tuple(f"{name}/{view}" for view in views),
        }
        return replace(self, description=said.model_copy(update=changes))


def find_bundles(which: str | Path | None) -> dict[str, Path]:
    """Find the folders of bundles by name; one that was chosen has the empty name.

    Parameters
    ----------
    which : str or Path, optional
        The name of a ready bundle, or a folder. Without it: the bundle of the run in the working
        folder, where there is one, else all ready ones.
    """
    ready = ready_bundles()
    if which is not None:
        return {"": ready.get(str(which), Path(which))}
    return ready if ready and not BUNDLE.exists() else {"": BUNDLE}


def ready_bundles() -> dict[str, Path]:
    """Return the folders of the bundles that come with the package, by name."""
    return {path.parent.name: path.parent for path in sorted(READY.glob(f"*/{DESCRIPTION}"))}


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle; every file's digest is checked before the file is parsed.

    Raises
    ------
    BundleError
        When there is none, it was changed, its parts do not fit together, or another version is
        needed to read it; names the file or the library.
    """
    path = folder / DESCRIPTION
    if not path.exists() and not path.is_symlink():
        raise BundleError(
            f"there is no bundle {folder} ({DESCRIPTION} is missing): run `dvc repro`, which "
            f"writes {BUNDLE}, or name a ready one: {', '.join(ready_bundles())}"
        )
    with _naming(path):
        description = _parse(path, _read_plain(path))
    if odd := {each.name for each in folder.iterdir()} ^ {DESCRIPTION, *description.files}:
        raise BundleError(f"{folder / min(odd)} is missing, or does not belong there: copy it anew")
    for name, wanted in description.versions.items():
        here = version(name) if name in PINNED else "of no use"
        if here != wanted:
            raise BundleError(
                f"{folder} was fitted with {name} {wanted}; here it is {here}: install "
                f"{name}=={wanted}, or make the bundle anew"
            )
    parts: list[Any] = []
    for name, sha256 in description.files.items():
        with _naming(folder / name):
            parts.append(loads(_read_plain(folder / name, sha256)))
    with _naming(path):
        *heads, stack = parts
        return Bundle(description, tuple(heads), stack)


def encoder_of(name: str, spec: Mapping[str, Any] | None, make: Callable[[Any], Made]) -> Made:
    """Make an encoder as a bundle describes it; one that this version does not know is named."""
    try:
        return make(spec)
    except (EncoderError, ValidationError) as error:
        told = " ".join(str(error).split("\n", 1)[-1].split())[:300]  # but for its title
        what = f"the bundle's encoder {name!r} cannot be made by this version"
        raise BundleError(f"{what}: {told}") from error


def description_bytes(content: Mapping[str, Any]) -> bytes:
    """Write ``bundle.json``, with a digest of itself, in the one way there is."""
    own = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return json.dumps({**content, "sha256": own}, sort_keys=True, indent=1).encode() + b"\n"


def _parse(path: Path, raw: bytes) -> Description:
    content = json.loads(raw)
    if not isinstance(content, dict):
        raise ValueError("it is no JSON object")
    protocol = content.get("protocol")
    if type(protocol) is not int or protocol != PROTOCOL:
        raise BundleError(
            f"{path} is of protocol {str(protocol)[:40]}, written by eri "
            f"{str(content.get('eri'))[:40]}: this version reads protocol {PROTOCOL}. Install "
            "that version, or write the bundle anew"
        )
    content.pop("sha256", None)
    if description_bytes(content) != raw:  # however it is written, other bytes are a change
        raise BundleError(f"{path} was changed: copy the bundle anew")
    return Description.model_validate(content)


def _read_plain(path: Path, sha256: str | None = None) -> bytes:
    """Read a file of the bundle; where its digest is known, other bytes are refused."""
    if path.is_symlink() or not path.is_file():
        raise BundleError(f"{path} is a link or no plain file: copy the bundle anew")
    content = path.read_bytes()
    if sha256 not in (None, hashlib.sha256(content).hexdigest()):
        raise BundleError(f"{path} was changed: copy the bundle anew")
    return content


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn whatever a wrong file leads to into an error that names it."""
    try:
        yield
    except BundleError:
        raise
    except Exception as error:  # a file that somebody vouches for may be anything
        told = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise BundleError(f"{path} is not what eri writes: {told}. Write it anew") from error
