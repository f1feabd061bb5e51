"""The bundle: all that prediction on new clips needs, in a folder of open formats.

``bundle.json`` says what there is, with the SHA-256 of every other file and of itself, so that one
changed byte anywhere is found; nothing is parsed before its digest was checked. Each head and the
stack is a ``.skops`` file, as the stages `fit` and `stack` kept it: nothing is fitted for a bundle.
Nothing in it is code or leads to code, and the training data are not needed. Kernels and neighbours
keep the vectors of training clips as part of what they learned.
"""

import hashlib
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
from models.persistence import loads
from models.stack import Stack
from pipeline.params import Name
from pipeline.views import JOIN

PROTOCOL = 4
READABLE = {4: "0.1.0"}
"""Protocols that `read_bundle` knows, and the first version of eri that writes each. Whoever
changes what is in a bundle adds one, and keeps reading the older ones or takes them out here."""

PINNED = ("lightgbm", "scikit-learn")
"""Libraries whose objects are in the files: another version may read them as something else."""

MOST_COLUMNS = 10**7
"""Of a clip vector, so that a wrong number cannot ask for all memory."""

DESCRIPTION, STACK = "bundle.json", "stack.skops"


class BundleError(Exception):
    """A bundle that is missing, damaged, of another version, or cannot be made."""


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
    sha256 : str
        Digest of its file.
    """

    head: str
    view: str
    weight: float
    sha256: str

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
    n_compared: int = 0
    largest_difference: float | None = None


class Description(_Entry):
    """``bundle.json``: what is in the bundle, what the heads take and give, and who wrote it.

    Attributes
    ----------
    protocol : int
        One of `READABLE`.
    eri : str
        The version that wrote it.
    versions : dict of str to str
        Libraries that have to be of these versions where it is read.
    targets : tuple of str
        What is predicted, in this order.
    sampling, pooling : Sampling and Pooling
        How clips become vectors.
    encoders : dict of str to EncoderEntry
        Those that some member's view has.
    members : tuple of MemberEntry
        In the order of their files.
    stack_sha256 : str
        Digest of ``stack.skops``.
    training : Training
        What the heads were fitted on.
    """

    protocol: int
    eri: str
    versions: dict[str, str]
    targets: tuple[str, ...] = Field(min_length=1)
    sampling: Sampling
    pooling: Pooling
    encoders: dict[Name, EncoderEntry]
    members: tuple[MemberEntry, ...] = Field(min_length=1)
    stack_sha256: str
    training: Training

    def files(self) -> dict[str, str]:
        """Return the SHA-256 of every other file, by name: the heads in order, then the stack."""
        heads = {f"member-{n:03d}.skops": each.sha256 for n, each in enumerate(self.members)}
        return {**heads, STACK: self.stack_sha256}


@dataclass(frozen=True)
class Fitted:
    """Heads and their stack.

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
        """Predict all targets (n_clips, n_targets) from clip vectors (n_clips, width) by encoder.

        A clip that lacks an encoder's has NaN there.
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
    path = folder / DESCRIPTION
    if not path.exists() and not path.is_symlink():
        raise BundleError(
            f"there is no bundle {folder} ({DESCRIPTION} is missing): run `dvc repro`, which "
            "writes results/bundle"
        )
    with _naming(path):
        description = _parse(path, _read_plain(path))
    expected = {DESCRIPTION, *description.files()}
    there = {each.name for each in folder.iterdir()}
    for name in sorted(there ^ expected):
        what = "does not belong to the bundle: remove it" if name in there else "is missing"
        raise BundleError(f"{folder / name} {what}")
    for name, wanted in description.versions.items():
        if name not in PINNED or version(name) != wanted:
            here = version(name) if name in PINNED else "no such library is used"
            raise BundleError(
                f"{folder} was fitted with {name} {wanted}; here it is {here}: install "
                f"{name}=={wanted}, or make the bundle anew"
            )
    return description, read_fitted(folder, description)


def read_fitted(folder: Path, description: Description) -> Fitted:
    """Read the heads and the stack of a bundle, and make sure that they fit together.

    Raises
    ------
    BundleError
        When a file was changed, or is not what the description says; names the file.
    """
    files = {name: _read_plain(folder / name, sha) for name, sha in description.files().items()}
    stack_file = files.pop(STACK)
    members = []
    for (name, content), member in zip(files.items(), description.members, strict=True):
        with _naming(folder / name):
            head = loads(content)
            width = sum(description.encoders[each].width for each in member.encoders)
            if not isinstance(head, Head) or head.n_features_in_ != width:
                raise ValueError(f"expected a head on {width} columns, found {head!r:.100}")
            members.append((member.encoders, head))
    with _naming(folder / STACK):
        stack, n_targets = loads(stack_file), len(description.targets)
        if not isinstance(stack, Stack) or stack.center.shape != (len(members), n_targets):
            raise ValueError(f"expected a stack of {len(members)} heads for {n_targets} targets")
        fitted = Fitted(members, stack)
        widths = {name: each.width for name, each in description.encoders.items()}
        predicted = fitted.predict({k: np.zeros((1, n), np.float32) for k, n in widths.items()})
        if predicted.shape != (1, n_targets) or not np.isfinite(predicted).all():
            raise ValueError(f"it does not predict {n_targets} numbers")
    return fitted


def description_bytes(content: Mapping[str, Any]) -> bytes:
    """Write ``bundle.json``, with a digest of itself, in the one way there is."""
    own = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return json.dumps({**content, "sha256": own}, sort_keys=True, indent=1).encode() + b"\n"


def _parse(path: Path, raw: bytes) -> Description:
    content = json.loads(raw)
    if not isinstance(content, dict):
        raise ValueError("it is no JSON object")
    protocol = content.get("protocol")
    if type(protocol) is not int or protocol not in READABLE:
        known = ", ".join(f"{number} (since {since})" for number, since in READABLE.items())
        raise BundleError(
            f"{path} is of protocol {str(protocol)[:40]}, written by eri "
            f"{str(content.get('eri'))[:40]}: this version reads protocol {known}. Install "
            "that version or a later one, or write the bundle anew"
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
