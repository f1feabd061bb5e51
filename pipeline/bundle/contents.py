"""The bundle: all that prediction on new clips needs, in a folder of open formats.

``bundle.json`` says what there is; each head and the stack is a ``.skops`` file
(`models.persistence`); ``manifest.json`` holds the digests of all. Nothing in it is code or leads
to code, and the training data are not needed. Kernels and neighbours keep the vectors of training
clips as part of what they learned.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from features.identity import Sampling
from features.pool import Pooling
from models.heads import Head
from models.persistence import PersistenceError, dumps, loads
from models.stack import Stack
from pipeline.bundle.manifest import BundleError, SealedFolder, new_folder
from pipeline.params import Name

PROTOCOL = 2
READABLE = {2: "0.1.0"}
"""Protocols that `read_bundle` knows, and the first version of eri that writes each. Whoever
changes what is in a bundle adds one, and keeps reading the older ones or takes them out here."""

MOST_COLUMNS = 10**7
"""Of a clip vector, so that a wrong number cannot ask for all memory."""

_DESCRIPTION = "bundle.json"
_STACK = "stack"


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EncoderEntry(_Entry):
    """One encoder as the heads know it.

    Attributes
    ----------
    spec : dict or None
        Its entry in ``params.yaml``; None for imported features, of which new clips have none.
    identity : str
        `features.identity.encoder_identity` of what made the training vectors.
    weights_digest : str
        Digest of the weights' bytes.
    width : int
        Number of columns of a pooled clip vector.
    """

    spec: dict[str, Any] | None
    identity: str
    weights_digest: str
    width: int = Field(ge=1, le=MOST_COLUMNS)


class MemberEntry(_Entry):
    """One fitted head that the stack listens to.

    Attributes
    ----------
    head, view : str
        As in ``results/leaderboard.csv``; the view's encoders are joined by ``+``.
    encoders : tuple of str
        The encoders of the view in the order of its columns.
    weight : float
        Mean over targets of its share in the stack.
    """

    head: str
    view: str
    encoders: tuple[str, ...] = Field(min_length=1)
    weight: float


class Training(_Entry):
    """What the heads were fitted on, and how well they give the run's predictions again.

    Attributes
    ----------
    refit_on : str
        ``train`` or ``train+val``.
    n_clips, n_people : int
        Labelled clips that heads were fitted on, and who they show.
    stack_method : str
        How members are combined.
    n_compared : int
        Clips whose predictions were compared with ``predictions.csv``.
    largest_difference : float or None
        Largest difference there, in target units; None where no clip could be compared.
    versions : dict of str to str
        Of the libraries that fitted.
    """

    refit_on: str
    n_clips: int
    n_people: int
    stack_method: str
    n_compared: int
    largest_difference: float | None
    versions: dict[str, str]


class Description(_Entry):
    """``bundle.json``; heads and stack are in files of their own, in the order of `members`."""

    targets: tuple[str, ...] = Field(min_length=1)
    sampling: Sampling
    pooling: Pooling
    encoders: dict[Name, EncoderEntry]
    members: tuple[MemberEntry, ...] = Field(min_length=1)
    training: Training


@dataclass(frozen=True)
class Fitted:
    """A bundle in memory: what it says, its heads in the order of members, and the stack."""

    description: Description
    heads: Sequence[Head]
    stack: Stack

    def predict(self, vectors: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
        """Predict from clip vectors.

        Parameters
        ----------
        vectors : mapping of str to ndarray of float32, shape (n_clips, width)
            By encoder; NaN where a clip lacks them.

        Returns
        -------
        ndarray of float64, shape (n_clips, n_targets)
        """
        predicted = [
            head.predict(np.concatenate([vectors[name] for name in member.encoders], axis=1))
            for member, head in zip(self.description.members, self.heads, strict=True)
        ]
        return self.stack.predict(np.stack(predicted, axis=1))


class BundleWriter:
    """Writes the parts of a bundle into a folder as they come, so that none has to be kept.

    Parameters
    ----------
    folder : Path
        Empty, from `writing_bundle`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def head(self, number: int, head: Head) -> None:
        """Write the head of the member of that number.

        Raises
        ------
        BundleError
            When it has something in it that cannot be written as plain data.
        """
        self._write(_stem(number), head)

    def finish(self, description: Description, stack: Stack) -> None:
        """Write what is left when all heads are written."""
        self._write(_STACK, stack)
        content = description.model_dump(mode="json")
        self._json(_DESCRIPTION, content)

    def _write(self, stem: str, fitted: Head | Stack) -> None:
        try:
            content = dumps(fitted)
        except PersistenceError as error:
            raise BundleError(
                f"a fitted {type(fitted).__name__} cannot be put into a bundle: {error}. Take it "
                "out of `heads:` in params.yaml"
            ) from error
        (self._folder / f"{stem}.skops").write_bytes(content)

    def _json(self, name: str, content: Any) -> None:
        text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
        (self._folder / name).write_bytes(text.encode() + b"\n")


@contextmanager
def writing_bundle(folder: Path) -> Iterator[BundleWriter]:
    """Give a writer; the bundle is at its place, whole, when the block ends without an error."""
    with new_folder(folder, {"protocol": PROTOCOL, "eri": version("eri")}) as beside:
        yield BundleWriter(beside)


def read_bundle(folder: Path) -> Fitted:
    """Read a bundle; every file's digest is checked before the file is parsed.

    Raises
    ------
    BundleError
        When there is none, it was changed, or another version is needed to read it; names the file.
    """
    sealed = SealedFolder(folder, READABLE)
    unread = set(sealed.names)

    def content_of(name: str) -> bytes:
        unread.discard(name)
        return sealed.read(name)

    with _naming(folder / _DESCRIPTION):
        description = Description.model_validate_json(content_of(_DESCRIPTION))
    stems = [_stem(number) for number in range(len(description.members))]
    loaded: list[Head | Stack] = []
    for stem in [*stems, _STACK]:
        with _naming(folder / f"{stem}.skops"):
            loaded.append(loads(content_of(f"{stem}.skops")))
    if unread:
        raise BundleError(f"{folder / min(unread)} does not belong to the bundle: copy it anew")
    with _naming(folder / _DESCRIPTION):
        return _checked(description, loaded[:-1], loaded[-1])


def _stem(number: int) -> str:
    return f"member-{number:03d}"


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn whatever a wrong file leads to into an error that names it."""
    try:
        yield
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,  # among them pydantic's and our own
    ) as error:
        told = " ".join(str(error).split())[:300]
        raise BundleError(f"{path} is not what eri writes: {told}. Write it anew") from error


def _checked(
    description: Description, heads: Sequence[Head | Stack], stack: Head | Stack
) -> Fitted:
    """Make sure that the parts fit together; raises ValueError."""
    n_targets = len(description.targets)
    if not isinstance(stack, Stack):
        raise ValueError("the stack is none")
    if stack.center.shape != (len(heads), n_targets):
        raise ValueError(f"the stack is of {stack.center.shape} members and targets")
    known = []
    for member, head in zip(description.members, heads, strict=True):
        unknown = [name for name in member.encoders if name not in description.encoders]
        if unknown:
            raise ValueError(f"the view {member.view} has unknown encoders {unknown}")
        width = sum(description.encoders[name].width for name in member.encoders)
        if not isinstance(head, Head) or head.n_features_in_ != width:
            raise ValueError(f"{member.head}/{member.view} is no head on {width} columns")
        known.append(head)
    fitted = Fitted(description, known, stack)
    probe = {
        name: np.zeros((1, each.width), np.float32) for name, each in description.encoders.items()
    }
    predicted = fitted.predict(probe)
    if predicted.shape != (1, n_targets) or not np.isfinite(predicted).all():
        raise ValueError(f"it does not predict {n_targets} numbers")
    return fitted
