"""`eri systems`: the systems of `systems.yaml`, in one table beside published figures."""

from collections.abc import Collection, Iterator
from itertools import combinations
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from features.encoders import AnyEncoder
from features.extraction.workers import Failure
from models.evaluation.scores import gains, subsets
from pipeline.clip_table import read_clip_table, read_rows
from pipeline.compare import (
    OutFolder,
    ScoredSplit,
    TimeLimit,
    heading,
    publish,
    remarks,
    show_progress,
)
from pipeline.comparison import Comparison, Split, run_comparison, scored_split
from pipeline.fit import baseline_tasks, head_task
from pipeline.leaderboard import STACK, rounded
from pipeline.params import Name, Params, left_out_note, load_run
from pipeline.paths import PARAMS, SYSTEM_FEATURES, SYSTEM_RESULTS, SYSTEMS
from pipeline.settings_files import model_faults, nearest, read_yaml, refuse
from pipeline.tables import laid_out
from pipeline.terminal import Json, ParamsFile, TitledTable
from pipeline.views import JOIN

COLUMNS = [
    *("system", "kind", "head", "encoders", "mean_pearson", "ci95_low", "ci95_high"),
    *("published_val", "published_test", "source", "note"),
]
GAIN_COLUMNS = ["modality", "added_to", "gain", "ci95_low", "ci95_high", "p_better"]

NOT_AVAILABLE = "not available"
"""In place of a published figure that exists, but that we have not read in a public source."""

FOREIGN_NOTE = (
    "Published figures are of Hume-Reaction, mean Pearson on its Val and Test, and none is ours. "
    "Scores of ours are of {}: the two compare only where those are the same data. `not available` "
    "is a figure that we have not read in a public source; `source` says which systems were "
    "published together, as this project has noted them."
)


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Published(_Entry):
    """A published result: mean Pearson as text, with the digits of its source; empty if unknown."""

    val: str = ""
    test: str = ""
    source: str


class System(_Entry):
    """A head on the join of some encoders.

    Attributes
    ----------
    encoders : tuple of str
        Names under `encoders` of `params.yaml` or `systems.yaml`.
    head : str
        A name under `heads` of `params.yaml`, or a kind, which then has its default settings.
    published : str, optional
        The published result that stands beside it: a name under `published`, or `NOT_AVAILABLE`.
    note : str
        Shown with its row.
    """

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


class Systems(_Entry):
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
    published : dict of str to Published
        What others reached.
    """

    encoders: dict[Name, AnyEncoder] = {}
    systems: dict[Name, System] = Field(min_length=1)
    modalities: dict[Name, tuple[str, ...]] = {}
    modality_head: str = "ridge"
    published: dict[str, Published] = {}

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


def systems_command(
    split: ScoredSplit = None,
    time_limit_s: TimeLimit = 3600.0,
    out: OutFolder = SYSTEM_RESULTS,
    params_file: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """Fit the systems of systems.yaml, and set them beside published figures.

    It needs the clip vectors and folds of one `dvc repro`, as `make systems` sees to. Encoders that
    only systems.yaml has are run first; what the cache holds is not computed again.

    Example: eri systems

    Example: eri systems --split oof --json
    """
    systems, params = load_systems(load_run(params_file, check_heads=False))
    lacking = extract_features(systems, params)
    plan = plan_systems(systems, params, split, lacking)
    found = show_progress(run_comparison(plan, time_limit_s), quiet=as_json)
    for system in systems.all.values():
        for name in set(system.encoders).intersection(lacking):
            found.failures[system.row] = Failure(lacking[name])
    tables = {"systems": systems_table(found, systems), "gains": gains_table(found, systems)}
    said = [*remarks(found), FOREIGN_NOTE.format(params.data.labels)]
    publish(found, "systems", tables, text_tables(found, systems), said, out, as_json)


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
    content = read_yaml(path)
    refuse(path, model_faults(Systems, content))
    systems = Systems.model_validate(content)
    refuse(path, [f"  {fault}" for fault in _faults(systems, params)])
    return systems, params.model_copy(update={"encoders": params.encoders | systems.encoders})


def extract_features(systems: Systems, params: Params) -> dict[str, str]:
    """Write ``data/systems``: feature stores of the encoders that only `systems.yaml` has.

    Returns
    -------
    dict of str to str
        The encoders of both files whose weights cannot be had, and why: a system without its
        network is said so in the table, and the others go on.

    Raises
    ------
    FailedClipsError
        When an encoder failed on too many clips.
    """
    from features.extraction import extract
    from pipeline.errors import report_extraction

    clips = read_clip_table()
    encoders = {
        name: each.model_copy(update={"optional": True}) for name, each in systems.encoders.items()
    }
    SYSTEM_FEATURES.mkdir(parents=True, exist_ok=True)
    report = extract(clips, encoders, params.sampling, SYSTEM_FEATURES)
    report_extraction(report, len(clips), params.data.max_failed_share)
    return dict.fromkeys(params.left_out, left_out_note(params.left_out)) | report.left_out


def plan_systems(
    systems: Systems,
    params: Params,
    split: Split | None = None,
    lacking: Collection[str] = (),
) -> Comparison:
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
    return Comparison(shown_params, rows, scored_split(split, rows), tasks)


def systems_table(found: Comparison, systems: Systems) -> pd.DataFrame:
    """Return our systems, each with the published figure that it carries on, then other figures.

    Returns
    -------
    DataFrame
        `COLUMNS`: our systems, every subset of the modalities, the stack of all of them and the
        baselines, and the published results that stand beside no system of ours. ``kind`` is
        ``system``, ``modalities``, ``stack``, ``baseline`` or ``published``; a score is missing
        where there is none, and ``note`` says why where a fit failed. Published figures are text,
        as their source has them; ``source`` is empty where that is "not available".
    """
    ours = [
        (name, "system" if name in systems.systems else "modalities", each)
        for name, each in systems.all.items()
    ]
    rows = [
        {"system": name, "kind": kind, "row": each.row, "encoders": each.view}
        | {"head": each.head, "note": each.note, "published": each.published or ""}
        for name, kind, each in ours
    ]
    others = {STACK: "stack"} if STACK in found.scores else {}
    others |= {task.name: "baseline" for task in found.tasks if task.is_baseline}
    rows += [{"system": name, "kind": kind, "row": name} for name, kind in others.items()]
    beside = {each.published for _, _, each in ours}
    foreign = [name for name in systems.published if name not in beside]
    rows += [{"system": name, "kind": "published", "published": name} for name in foreign]
    figures = pd.DataFrame(
        [
            *((name, each.val, each.test, each.source) for name, each in systems.published.items()),
            (NOT_AVAILABLE, "", NOT_AVAILABLE, ""),
        ],
        columns=["published", "published_val", "published_test", "source"],
    )
    table = pd.DataFrame(rows).merge(figures, on="published", how="left").fillna("")
    table.loc[table["kind"] == "stack", "encoders"] = "all systems above"
    scores = found.table().set_index("name")
    table = table.join(scores[["mean_pearson", "ci95_low", "ci95_high", "error"]], on="row")
    failed = table["error"].fillna("").map(lambda why: why and f"failed: {why}")
    notes = zip(table["note"], failed, strict=True)
    return table.assign(note=["; ".join(filter(None, each)) for each in notes])[COLUMNS]


def gains_table(found: Comparison, systems: Systems) -> pd.DataFrame:
    """Return what each modality adds to each subset of the others, `GAIN_COLUMNS`.

    The interval and ``p_better`` are of paired resamples of people. Where a fit failed, there is no
    row.
    """
    rows_of = {subset: system.row for subset, system in systems.by_modality.items()}
    scores = {subset: found.scores[row] for subset, row in rows_of.items() if row in found.scores}
    rows = [
        (part, JOIN.join(to), each.gain, each.interval.low, each.interval.high, each.p_better)
        for (part, to), each in gains(scores).items()
    ]
    return rounded(pd.DataFrame(rows, columns=GAIN_COLUMNS))


def text_tables(found: Comparison, systems: Systems) -> Iterator[TitledTable]:
    """Lay out both tables as text, with their titles; the second one only where there are gains."""
    table = systems_table(found, systems)
    foreign = table["kind"] == "published"
    table["system"] = table["system"].mask(foreign, "(" + table["system"] + ")")
    names = {
        **{"system": "system", "mean_pearson": "ours", "ci95_low": "95 % CI"},
        **{"published_val": "published val", "published_test": "published test"},
        **{"head": "head", "encoders": "encoders", "source": "source", "note": "note"},
    }
    if not table["note"].any():
        del names["note"]
    title = f"Systems on {found.params.data.labels}, beside published figures. {heading(found)}"
    yield title, laid_out(table, names)
    gained = gains_table(found, systems)
    if len(gained):
        names = {"modality": "modality", "added_to": "added to", "gain": "gain"}
        names |= {"ci95_low": "95 % CI", "p_better": "P > 0"}
        title = f"What a modality adds ({systems.modality_head}; paired resamples of people)"
        yield title, laid_out(gained, names)


def _faults(systems: Systems, params: Params) -> Iterator[str]:
    taken = [*params.feature_names, *params.left_out]
    known, results = [*taken, *systems.encoders], [*systems.published, NOT_AVAILABLE]
    for name in systems.encoders:
        if name in taken:
            yield f"encoders.{name}: params.yaml has an encoder of that name: choose another"
    for name, system in systems.systems.items():
        yield from _wrong_encoders(f"systems.{name}.encoders", system.encoders, known)
        if system.published is not None and system.published not in results:
            hint = nearest(system.published, results)
            yield f"systems.{name}.published: unknown result {system.published!r}{hint}"
        if name in systems.modalities or name == STACK:
            yield f"systems.{name}: another row of the table has that name: choose another"
    for name, members in systems.modalities.items():
        yield from _wrong_encoders(f"modalities.{name}", members, known)
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
