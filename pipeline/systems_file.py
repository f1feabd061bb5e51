"""`systems.yaml`: our systems, and what others reached on Hume-Reaction, the data of the paper."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from features.encoders import AnyEncoder
from models.evaluation.scores import subsets
from pipeline.leaderboard import STACK
from pipeline.params import Name, Params
from pipeline.paths import SYSTEMS
from pipeline.settings_files import model_faults, nearest, read_keys, refuse
from pipeline.views import JOIN

NOT_AVAILABLE = "not available"
"""In place of a published figure that exists, but that we have not read in a public source."""


class Published(NamedTuple):
    """A published result.

    Attributes
    ----------
    published_val, published_test : str
        Mean Pearson over the seven targets of Hume-Reaction, with the digits of the source; empty
        where no figure is known to us.
    source : str
        The systems that it was published with, in the order of their figures in the project's notes
        of what others reached.
    """

    published_val: str
    published_test: str
    source: str


_LSTM = "eGeMAPS / DeepSpectrum / VGGFace2 / FAU, LSTM baseline"
_DUAL = "dual branch: audio / video / both"
_HKUST = "HKUST: audio / AU / face net / face+AU / face+audio / all"

PUBLISHED = {
    "eGeMAPS, LSTM baseline": Published("0.058", "", _LSTM),
    "DeepSpectrum, LSTM baseline": Published("0.109", "", _LSTM),
    "VGGFace2, LSTM baseline": Published("0.249", "", _LSTM),
    "FAU, LSTM baseline": Published("0.284", "0.2801", _LSTM),
    "ViPER": Published("0.3025", "", "ViPER (perceiver; frames, audio, CLIP text, FAU)"),
    "multi-task ensemble": Published("0.3254", "", "multi-task ensemble"),
    "MuSe 2022 winner": Published("", "0.3879", "MuSe 2022 winner"),
    "paper, ResNet50": Published("", "0.4080", "the paper, pre-trained ResNet50"),
    "dual branch, audio": Published("0.297", "", _DUAL),
    "dual branch, video": Published("0.350", "", _DUAL),
    "dual branch, both": Published("0.443", "0.4380", _DUAL),
    "HKUST, audio": Published("0.299", "", _HKUST),
    "HKUST, AU": Published("0.342", "", _HKUST),
    "HKUST, face net": Published("0.362", "", _HKUST),
    "HKUST, face+AU": Published("0.377", "", _HKUST),
    "HKUST, face+audio": Published("0.438", "", _HKUST),
    "HKUST, all": Published("0.455", "0.4547", _HKUST),
    "ABAW5 first place": Published("about 0.52", "about 0.47", "ABAW5 first place"),
}
"""By system, what it was in short; in the order of the table."""


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

    @property
    def row(self) -> str:
        """The name of its row on the leaderboard."""
        return f"{self.head}/{self.view}"


class Systems(BaseModel):
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

    encoders: dict[Name, AnyEncoder] = {}
    systems: dict[Name, System] = Field(min_length=1)
    modalities: dict[Name, tuple[str, ...]] = {}
    modality_head: str = "ridge"

    @property
    def by_modality(self) -> dict[tuple[str, ...], System]:
        """The systems of every subset of the modalities."""
        return {
            subset: System(
                encoders=tuple(each for modality in subset for each in self.modalities[modality]),
                head=self.modality_head,
            )
            for subset in subsets(list(self.modalities))
        }

    @property
    def all(self) -> dict[str, System]:
        """All systems by name; a subset's is that of its modalities, joined by ``+``."""
        return self.systems | {JOIN.join(each): system for each, system in self.by_modality.items()}


def load_systems(params: Params, path: Path = SYSTEMS) -> tuple[Systems, Params]:
    """Read and check `systems.yaml`.

    Parameters
    ----------
    params : Params
        What the systems have in common with the everyday run.
    path : Path
        The file.

    Returns
    -------
    systems : Systems
        The file.
    params : Params
        With the encoders of both files.

    Raises
    ------
    ParamsError
        When the file is missing or wrong: unknown keys, encoders or published results, a name that
        stands twice.
    """
    content = read_keys(path, Systems)
    refuse(path, model_faults(Systems, content))
    systems = Systems.model_validate(content)
    known = [*params.feature_names, *systems.encoders]
    refuse(path, [f"  {fault}" for fault in _faults(systems, params, known)])
    return systems, params.model_copy(update={"encoders": params.encoders | systems.encoders})


def _faults(systems: Systems, params: Params, encoders: list[str]) -> Iterator[str]:
    for name in systems.encoders:
        if name in params.feature_names:
            yield f"encoders.{name}: params.yaml has an encoder of that name: choose another"
    for name, system in systems.systems.items():
        yield from _wrong_encoders(f"systems.{name}.encoders", system.encoders, encoders)
        results = [*PUBLISHED, NOT_AVAILABLE]
        if system.published is not None and system.published not in results:
            hint = nearest(system.published, results)
            yield f"systems.{name}.published: unknown result {system.published!r}{hint}"
        if name in systems.modalities or name == STACK:
            yield f"systems.{name}: another row of the table has that name: choose another"
    for name, members in systems.modalities.items():
        yield from _wrong_encoders(f"modalities.{name}", members, encoders)
        if not members:
            yield f"modalities.{name}: no encoder: name one, or leave the modality out"
    for (first, a), (second, b) in combinations(systems.modalities.items(), 2):
        for both in sorted(set(a).intersection(b)):
            yield f"modalities.{second}: the encoder {both!r} is of {first} already"


def _wrong_encoders(place: str, names: tuple[str, ...], known: list[str]) -> Iterator[str]:
    for name in dict.fromkeys(names):
        if name not in known:
            yield f"{place}: unknown encoder {name!r}{nearest(name, known)}"
        if names.count(name) > 1:
            yield f"{place}: the encoder {name!r} stands there twice"
