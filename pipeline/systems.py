"""`eri systems`: the systems of `systems.yaml`, in one table beside published figures."""

from collections.abc import Collection, Iterator
from itertools import combinations
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel, ConfigDict, Field

from features.encoders import EncoderSpec
from features.extraction.workers import Failure
from models.evaluation.scores import subsets
from pipeline.clip_table import read_clip_table, read_rows
from pipeline.compare import show_progress
from pipeline.comparison import run_comparison
from pipeline.comparison_plan import Plan, Split, scored_split
from pipeline.fit import baseline_tasks, head_task
from pipeline.leaderboard import STACK
from pipeline.options import Json, ParamsFile
from pipeline.params import Name, Params, load_params
from pipeline.paths import PARAMS, SYSTEM_FEATURES, SYSTEM_RESULTS, SYSTEMS
from pipeline.published import NOT_AVAILABLE, PUBLISHED
from pipeline.settings_files import model_faults, nearest, read_keys, refuse
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

    encoders: dict[Name, EncoderSpec] = {}
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
        stands twice, two systems that are one.
    """
    content = read_keys(path, Systems)
    refuse(path, model_faults(Systems, content))
    systems = Systems.model_validate(content)
    known = [*params.feature_names, *systems.encoders]
    refuse(path, [f"  {fault}" for fault in _faults(systems, params, known)])
    return systems, params.model_copy(update={"encoders": params.encoders | systems.encoders})


def systems_command(
    split: Annotated[
        Split | None,
        typer.Option(help="Score out of fold on Train, or on Val; default val where labelled."),
    ] = None,
    time_limit_s: Annotated[
        float, typer.Option(min=0.1, help="Longest time for one head on one view.")
    ] = 3600.0,
    out: Annotated[Path, typer.Option(help="Folder for the tables.")] = SYSTEM_RESULTS,
    params_file: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """Fit the systems of systems.yaml, and set them beside published figures.

    It needs the clip vectors and folds of one `dvc repro`, as `make systems` sees to. Encoders that
    only systems.yaml has are run first; what the cache holds is not computed again.

    Example: eri systems

    Example: eri systems --split oof --json
    """
    from pipeline.systems_table import system_remarks, text_tables, write_systems

    systems, params = load_systems(load_params(params_file, check_heads=False))
    lacking = extract_features(systems, params)
    plan = plan_systems(systems, params, split, lacking)
    found = show_progress(run_comparison(plan, time_limit_s), quiet=as_json)
    for system in systems.all.values():
        for name in set(system.encoders).intersection(lacking):
            found.failures[system.row] = Failure(lacking[name])
    files = write_systems(found, systems, out)
    if as_json:
        print((out / "systems.json").read_text(encoding="utf-8"), end="")
    else:
        from pipeline.terminal import Screen

        lines = [*system_remarks(found), "", *map(str, files)]
        Screen().print(text_tables(found, systems), lines)
    if not found.members:
        raise typer.Exit(1)


def extract_features(systems: Systems, params: Params) -> dict[str, str]:
    """Write ``data/systems``: feature stores of the encoders that only `systems.yaml` has.

    Returns
    -------
    dict of str to str
        The encoders whose weights cannot be had, and why: a system without its network is said so
        in the table, and the others go on.

    Raises
    ------
    FailedClipsError
        When an encoder failed on too many clips.
    """
    from features.encoders import EncoderError
    from features.extraction import extract
    from features.identity import encoder_identity
    from pipeline.failures import report_extraction

    made, clips = params.make_encoders(), read_clip_table()
    encoders, lacking = {name: made[name] for name in systems.encoders}, {}
    for name in systems.encoders:
        try:
            encoder_identity(encoders[name], params.sampling)
        except EncoderError as error:
            lacking[name] = str(error)
            del encoders[name]
    SYSTEM_FEATURES.mkdir(parents=True, exist_ok=True)
    report = extract(clips, encoders, params.sampling, SYSTEM_FEATURES)
    report_extraction(report, len(clips), params.data.max_failed_share)
    return lacking


def plan_systems(
    systems: Systems,
    params: Params,
    split: Split | None = None,
    lacking: Collection[str] = (),
) -> Plan:
    """List what has to be fitted; systems of the same head and view are one row.

    Parameters
    ----------
    systems, params
        From `load_systems`.
    split : {"oof", "val"}, optional
        The predictions that are scored; by default Val, or out of fold where Val has no labels.
    lacking : collection of str
        Encoders without features; systems with one of them are left out.

    Raises
    ------
    StoreError
        When another encoder's features are missing.
    """
    can_be = [each for each in systems.all.values() if not set(each.encoders) & set(lacking)]
    tasks = baseline_tasks(params)
    tasks += [
        head_task(system.head, system.view, params, folder=SYSTEM_FEATURES)
        for system in {system.row: system for system in can_be}.values()
    ]
    used = {name for system in can_be for name in system.encoders}
    shown = {name: spec for name, spec in params.encoders.items() if name in used}
    rows, shown_params = read_rows(params), params.model_copy(update={"encoders": shown})
    return Plan(shown_params, rows, scored_split(split, rows), tasks)


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
    for (first, a), (second, b) in combinations(systems.systems.items(), 2):
        if a.row == b.row:
            yield f"systems.{second}: the same as {first}, {a.head} on {a.view}: leave one out"
    for name, members in systems.modalities.items():
        yield from _wrong_encoders(f"modalities.{name}", members, encoders)
        if not members:
            yield f"modalities.{name}: no encoder: name one, or leave the modality out"
    for (first, c), (second, d) in combinations(systems.modalities.items(), 2):
        for both in sorted(set(c).intersection(d)):
            yield f"modalities.{second}: the encoder {both!r} is of {first} already"


def _wrong_encoders(place: str, names: tuple[str, ...], known: list[str]) -> Iterator[str]:
    for name in dict.fromkeys(names):
        if name not in known:
            yield f"{place}: unknown encoder {name!r}{nearest(name, known)}"
        if names.count(name) > 1:
            yield f"{place}: the encoder {name!r} stands there twice"
