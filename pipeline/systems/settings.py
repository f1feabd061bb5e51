"""`systems.yaml`, typed and checked when it is read."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from models.evaluation.scores import Subset, subsets
from pipeline.compare.board import STACK
from pipeline.compare.plan import known_names
from pipeline.params import Name, Params, ParamsError
from pipeline.paths import SYSTEMS
from pipeline.settings_files import encoder_faults, model_faults, read_keys, refuse
from pipeline.systems.published import NOT_AVAILABLE, PUBLISHED
from pipeline.views import JOIN


class System(BaseModel):
    """A head on the join of some encoders.

    Attributes
    ----------
    encoders : tuple of str
        Names under `encoders` of `params.yaml` or `systems.yaml`.
    head : str
        A name under `heads` of `params.yaml`, or a kind, which then has its default settings.
    published : str, optional
        The published result that stands beside it: a key of `PUBLISHED`, or `NOT_AVAILABLE`.
    note : str
        Shown with its row.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoders: tuple[str, ...] = Field(min_length=1)
    head: str
    published: str | None = None
    note: str = ""

    @property
    def view(self) -> str:
        """The name of its view, whatever the order in which encoders were given."""
        return JOIN.join(sorted(self.encoders))


class SystemsFile(BaseModel):
    """All of `systems.yaml`.

    Attributes
    ----------
    encoders : dict
        Encoders beside those of `params.yaml`; the everyday run does without them.
    systems : dict of str to System
        By name.
    modalities : dict of str to tuple of str
        Encoders by what they look at. Every subset of the modalities is a system, too.
    modality_head : str
        The head of these systems.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoders: dict[Name, dict[str, Any]] = {}
    systems: dict[Name, System] = Field(min_length=1)
    modalities: dict[Name, tuple[str, ...]] = {}
    modality_head: str = "ridge"


@dataclass(frozen=True)
class Systems:
    """What there is to fit.

    Attributes
    ----------
    params : Params
        With the encoders of both files.
    encoders : tuple of str
        The encoders that only `systems.yaml` has.
    named : dict of str to System
        The systems of the file.
    by_modality : dict of tuple of str to System
        The systems of every subset of the modalities.
    """

    params: Params
    encoders: tuple[str, ...]
    named: dict[str, System]
    by_modality: dict[Subset, System]

    @property
    def all(self) -> dict[str, System]:
        """All systems by name; a subset's is that of its modalities, joined by ``+``."""
        return self.named | {JOIN.join(subset): s for subset, s in self.by_modality.items()}


def load_systems(params: Params, path: Path = SYSTEMS) -> Systems:
    """Read and check `systems.yaml`.

    Parameters
    ----------
    params : Params
        What the systems have in common with the everyday run.
    path : Path
        The file.

    Raises
    ------
    ParamsError
        When the file is missing or wrong: unknown keys, encoders or published results, a name that
        stands twice, two systems that are one.
    """
    content = read_keys(path, SystemsFile)
    refuse(path, model_faults(SystemsFile, content) + encoder_faults(content))
    file = SystemsFile.model_validate(content)
    encoders = params.encoders | file.encoders
    known = [*encoders, *params.stores]
    refuse(path, [f"  {fault}" for fault in _faults(file, params, known)])
    joined = {
        subset: System(
            encoders=tuple(each for modality in subset for each in file.modalities[modality]),
            head=file.modality_head,
        )
        for subset in subsets(list(file.modalities))
    }
    return Systems(
        params=params.model_copy(update={"encoders": encoders}),
        encoders=tuple(file.encoders),
        named=file.systems,
        by_modality=joined,
    )


def _faults(file: SystemsFile, params: Params, encoders: list[str]) -> Iterator[str]:
    for name in file.encoders:
        if name in params.feature_names:
            yield f"encoders.{name}: params.yaml has an encoder of that name: choose another"
    for name, system in file.systems.items():
        place = f"systems.{name}"
        yield from _wrong_encoders(f"{place}.encoders", system.encoders, encoders)
        if system.published is not None:
            yield from _unknown(
                f"{place}.published", system.published, "result", [*PUBLISHED, NOT_AVAILABLE]
            )
        if name in file.modalities or name == STACK:
            yield f"{place}: another row of the table has that name: choose another"
    for (first, a), (second, b) in combinations(file.systems.items(), 2):
        if (a.view, a.head) == (b.view, b.head):
            yield f"systems.{second}: the same as {first}, {a.head} on {a.view}: leave one out"
    for name, members in file.modalities.items():
        yield from _wrong_encoders(f"modalities.{name}", members, encoders)
        if not members:
            yield f"modalities.{name}: no encoder: name one, or leave the modality out"
    for (first, c), (second, d) in combinations(file.modalities.items(), 2):
        for both in sorted(set(c).intersection(d)):
            yield f"modalities.{second}: the encoder {both!r} is of {first} already"


def _wrong_encoders(place: str, names: tuple[str, ...], known: list[str]) -> Iterator[str]:
    for name in dict.fromkeys(names):
        yield from _unknown(place, name, "encoder", known)
        if names.count(name) > 1:
            yield f"{place}: the encoder {name!r} stands there twice"


def _unknown(place: str, name: str, what: str, known: list[str]) -> Iterator[str]:
    try:
        known_names([name], known, what)
    except ParamsError as error:
        yield f"{place}: {error}"
