"""The bundle: all that prediction on new clips needs, in a folder of open formats.

``bundle.json`` says what there is; each head and the stack is a ``.skops`` file, copied from what
the stages `fit` and `stack` kept; ``manifest.json`` holds the digests of all. Nothing in it is code
or leads to code, and the training data are not needed. Kernels and neighbours keep the vectors of
training clips as part of what they learned.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from features.identity import Sampling
from features.pool import Pooling
from features.store import store_metadata
from models.arrays import DataError
from models.heads import Head
from models.persistence import dumps, loads
from models.stack import Stack
from pipeline.clip_table import Rows
from pipeline.params import Name, Params, ParamsError
from pipeline.paths import POOLED, PREDICTIONS, STACK_FITTED, fitted_head
from pipeline.predictions import member_names
from pipeline.sealed_folder import BundleError, SealedFolder, new_sealed_folder
from pipeline.submission import FILE_ID, file_ids
from pipeline.tables import read_run_table
from pipeline.views import JOIN, join_tables

PROTOCOL = 3
READABLE = {3: "0.1.0"}
"""Protocols that `read_bundle` knows, and the first version of eri that writes each. Whoever
changes what is in a bundle adds one, and keeps reading the older ones or takes them out here."""

PINNED = ("lightgbm", "scikit-learn")
"""Libraries whose objects are in the files: another version may read them as something else."""

MOST_COLUMNS = 10**7
"""Of a clip vector, so that a wrong number cannot ask for all memory."""

LARGEST_DIFFERENCE = 0.01
"""From the run's predictions, in standard deviations of the target: beyond it something is wrong.
Rounding alone stays far below."""

_DESCRIPTION, _STACK = "bundle.json", "stack.skops"


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


def make_bundle(params: Params, rows: Rows, folder: Path) -> Description:
    """Pack the fitted heads that have weight in the stack, with all that belongs to them.

    Nothing is fitted: they are the files that the stages `fit` and `stack` kept.

    Parameters
    ----------
    params : Params
        Of the run.
    rows : Rows
        Its clips.
    folder : Path
        Where the bundle shall be.

    Raises
    ------
    BundleError
        When an encoder's table does not say what made it, or `folder` is something else.
    DataError
        When the predictions of Val and Test are not those of the run.
    ParamsError, StoreError
        When a result of the run is missing or of other clips.
    """
    stack = loads(_result(STACK_FITTED))
    assert isinstance(stack, Stack)  # of no other kind is that file
    names = member_names(list(params.heads), params.feature_names)
    used = [names[number] for number in np.flatnonzero(stack.used)]
    weights = stack.member_weights.mean(axis=0)[stack.used]
    stack = stack.without_idle_members()
    contents = [_result(fitted_head(*name.split("/"))) for name in used]
    views = [name.split("/")[1] for name in used]
    heads = [_head(content) for content in contents]
    fitted = Fitted([(v.split(JOIN), h) for v, h in zip(views, heads, strict=True)], stack)
    encoders = {name: _encoder(name, params) for view in views for name in view.split(JOIN)}
    n_compared, difference = _compare(fitted, list(encoders), params, rows)
    fitted_on = rows.fitted_on(params.final.refit_on)
    description = Description(
        targets=params.targets,
        sampling=params.sampling,
        pooling=params.pooling,
        encoders=dict(sorted(encoders.items())),
        members=tuple(
            MemberEntry(head=name.split("/")[0], view=view, weight=float(weight))
            for name, view, weight in zip(used, views, weights, strict=True)
        ),
        training=Training(
            refit_on=params.final.refit_on,
            n_clips=int(fitted_on.sum()),
            n_people=len(set(rows.people[fitted_on])),
            stack_method=stack.method,
            n_compared=n_compared,
            largest_difference=difference,
        ),
    )
    versions = {name: version(name) for name in PINNED}
    with new_sealed_folder(folder, PROTOCOL, version("eri"), versions) as beside:
        for number, content in enumerate(contents):
            (beside / _member(number)).write_bytes(content)
        (beside / _STACK).write_bytes(dumps(stack))
        said = json.dumps(description.model_dump(mode="json"), indent=1, sort_keys=True)
        (beside / _DESCRIPTION).write_text(said + "\n", encoding="utf-8")
    return description


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
    with _naming(folder / _DESCRIPTION):
        description = Description.model_validate_json(sealed.read(_DESCRIPTION))
    names = [_member(number) for number in range(len(description.members))]
    for stranger in sorted(set(sealed.names).difference([*names, _DESCRIPTION, _STACK])):
        raise BundleError(f"{folder / stranger} does not belong to the bundle: copy it anew")
    members = []
    for name, member in zip(names, description.members, strict=True):
        with _naming(folder / name):
            members.append((member.encoders, _head(sealed.read(name))))
    with _naming(folder / _STACK):
        stack = loads(sealed.read(_STACK))
    with _naming(folder / _DESCRIPTION):
        return description, _checked(description, members, stack)


def _head(content: bytes) -> Head:
    head = loads(content)
    if not isinstance(head, Head):
        raise ValueError(f"expected a head, found a {type(head).__name__}")
    return head


def _member(number: int) -> str:
    return f"member-{number:03d}.skops"


def _result(path: Path) -> bytes:
    if not path.is_file():
        raise ParamsError(f"there is no {path}: run `dvc repro`")
    return path.read_bytes()


def _encoder(name: str, params: Params) -> EncoderEntry:
    schema = pq.read_schema(POOLED / f"{name}.parquet")
    metadata, width = store_metadata(schema), schema.field("embedding").type.list_size
    if name in params.stores:
        digest = params.stores[name].sha256
        return EncoderEntry(spec=None, identity="", weights_digest=digest, width=width)
    if not {"identity", "weights_digest"} <= set(metadata):
        raise BundleError(
            f"{POOLED / name}.parquet does not say which encoder made it, so that new clips could "
            "be embedded by another one: run `dvc repro`"
        )
    return EncoderEntry(
        spec=params.encoders[name].model_dump(mode="json", exclude_unset=True),
        identity=metadata["identity"],
        weights_digest=metadata["weights_digest"],
        width=width,
    )


def _compare(
    fitted: Fitted, encoders: Sequence[str], params: Params, rows: Rows
) -> tuple[int, float | None]:
    """Predict clips of Val and Test again; give their number and the largest difference."""
    if not PREDICTIONS.is_file():
        raise ParamsError(f"there is no {PREDICTIONS}: run `dvc repro`")
    held, table = rows.clips[rows.n_train :], read_run_table(PREDICTIONS)
    if table[FILE_ID].tolist() != file_ids(held).tolist():
        raise ParamsError(f"{PREDICTIONS} is of other clips than the clip table: run `dvc repro`")
    if params.final.refit_on == "train+val":  # Val is predicted by heads that are not kept
        chosen = (held["split"] == "Test").to_numpy(bool)
        held, table = held[chosen], table[chosen]
    if held.empty:
        return 0, None
    ids = list(held["clip_id"])
    vectors = {name: join_tables([POOLED / f"{name}.parquet"], ids) for name in encoders}
    difference = np.abs(fitted.predict(vectors) - table[list(params.targets)].to_numpy(np.float64))
    spread = np.nanstd(rows.y[: rows.n_train], axis=0)
    # Without spread there is no unit to compare in.
    if (difference > LARGEST_DIFFERENCE * np.where(spread > 0, spread, 1)).any():
        raise DataError(
            f"the fitted heads predict otherwise than {PREDICTIONS} says, by up to "
            f"{difference.max():.3g}: they are of another run; run `dvc repro --force`"
        )
    return len(held), float(difference.max())


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
            raise ValueError(f"{_member(number)} is no head on {width} columns")
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
