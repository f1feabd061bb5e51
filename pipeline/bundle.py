"""The bundle: all that prediction on new clips needs, in a folder of open formats.

``bundle.json`` says what there is; each head and the stack is a ``.skops`` file, copied from what
the stages `fit` and `stack` kept; ``manifest.json`` holds the digests of all. Nothing in it is code
or leads to code, and the training data are not needed. Kernels and neighbours keep the vectors of
training clips as part of what they learned.
"""

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
from models.persistence import loads
from models.stack import Stack
from pipeline.params import Name
from pipeline.sealed_folder import BundleError, SealedFolder
from pipeline.views import JOIN

PROTOCOL = 3
READABLE = {3: "0.1.0"}
"""Protocols that `read_bundle` knows, and the first version of eri that writes each. Whoever
changes what is in a bundle adds one, and keeps reading the older ones or takes them out here."""

PINNED = ("lightgbm", "scikit-learn")
"""Libraries whose objects are in the files: another version may read them as something else."""

MOST_COLUMNS = 10**7
"""Of a clip vector, so that a wrong number cannot ask for all memory."""

DESCRIPTION, STACK = "bundle.json", "stack.skops"


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EncoderEntry(_Entry):
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


class MemberEntry(_Entry):
    """One fitted head that the stack listens to.

    Attributes
    ----------
    head, view : str
        As in ``results/leaderboard.csv``; the view's encoders are joined by ``+``.
    weight : float
        Mean over targets of its share in the stack.
    """

    head: str
    view: str
    weight: float

    @property
    def encoders(self) -> list[str]:
        """The encoders of the view in the order of its columns."""
        return self.view.split(JOIN)


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
    """

    refit_on: str
    n_clips: int
    n_people: int
    stack_method: str
    n_compared: int
    largest_difference: float | None


class Description(_Entry):
    """``bundle.json``; heads are in files of their own, in the order of `members`."""

    targets: tuple[str, ...] = Field(min_length=1)
    sampling: Sampling
    pooling: Pooling
    encoders: dict[Name, EncoderEntry]
    members: tuple[MemberEntry, ...] = Field(min_length=1)
    training: Training


@dataclass(frozen=True)
class Fitted:
    """Heads and their stack, with what they take and give.

    Attributes
    ----------
    members : sequence of (list of str, Head)
        Each head, and the encoders whose vectors it takes side by side.
    stack : Stack
        Of the heads, in their order.
    """

    members: Sequence[tuple[Sequence[str], Head]]
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
            head.predict(np.concatenate([vectors[name] for name in encoders], axis=1))
            for encoders, head in self.members
        ]
        return self.stack.predict(np.stack(predicted, axis=1))


def read_bundle(folder: Path) -> tuple[Description, Fitted]:
    """Read a bundle; every file's digest is checked before the file is parsed.

    Raises
    ------
    BundleError
        When there is none, it was changed, or another version is needed to read it; names the file
        or the library.
    """
    sealed = SealedFolder(folder, READABLE)
    for name, expected in sealed.versions.items():
        if name not in PINNED or version(name) != expected:
            here = version(name) if name in PINNED else "no such library is used"
            raise BundleError(
                f"{folder} was fitted with {name} {expected}; here it is {here}: install "
                f"{name}=={expected}, or make the bundle anew"
            )
    with _naming(folder / DESCRIPTION):
        description = Description.model_validate_json(sealed.read(DESCRIPTION))
    names = [member_file(number) for number in range(len(description.members))]
    for stranger in sorted(set(sealed.names).difference([*names, DESCRIPTION, STACK])):
        raise BundleError(f"{folder / stranger} does not belong to the bundle: copy it anew")
    members = []
    for name, member in zip(names, description.members, strict=True):
        with _naming(folder / name):
            members.append((member.encoders, load_head(sealed.read(name))))
    with _naming(folder / STACK):
        stack = loads(sealed.read(STACK))
    with _naming(folder / DESCRIPTION):
        return description, _checked(description, members, stack)


def load_head(content: bytes) -> Head:
    """Load a fitted head; raises ValueError where it is none."""
    head = loads(content)
    if not isinstance(head, Head):
        raise ValueError(f"expected a head, found a {type(head).__name__}")
    return head


def member_file(number: int) -> str:
    """Name of the file of a fitted head."""
    return f"member-{number:03d}.skops"


def _checked(
    description: Description, members: Sequence[tuple[Sequence[str], Head]], stack: object
) -> Fitted:
    """Make sure that the parts fit together; raises ValueError."""
    n_targets = len(description.targets)
    if not isinstance(stack, Stack):
        raise ValueError("the stack is none")
    if stack.center.shape != (len(members), n_targets):
        raise ValueError(f"the stack is of {stack.center.shape} members and targets")
    for number, (encoders, head) in enumerate(members):
        width = sum(description.encoders[name].width for name in encoders)
        if head.n_features_in_ != width:
            raise ValueError(f"{member_file(number)} is no head on {width} columns")
    fitted = Fitted(members, stack)
    probe = {
        name: np.zeros((1, each.width), np.float32) for name, each in description.encoders.items()
    }
    predicted = fitted.predict(probe)
    if predicted.shape != (1, n_targets) or not np.isfinite(predicted).all():
        raise ValueError(f"it does not predict {n_targets} numbers")
    return fitted


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
