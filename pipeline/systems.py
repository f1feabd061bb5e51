"""`eri systems`: the systems of `systems.yaml`, in one table beside published figures."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path

import pandas as pd
import typer

from features.extraction.workers import Failure
from models.evaluation.scores import gains
from pipeline.clip_table import read_clip_table, read_rows
from pipeline.compare import (
    OutFolder,
    ScoredSplit,
    TimeLimit,
    heading,
    remarks,
    show_progress,
)
from pipeline.comparison import Comparison, Plan, Split, run_comparison, scored_split
from pipeline.fit import baseline_tasks, head_task
from pipeline.leaderboard import STACK
from pipeline.params import Params, load_params
from pipeline.paths import PARAMS, SYSTEM_FEATURES, SYSTEM_RESULTS
from pipeline.systems_file import NOT_AVAILABLE, PUBLISHED, Systems, load_systems
from pipeline.tables import laid_out, markdown_page, records, write_texts
from pipeline.terminal import Json, ParamsFile, TitledTable, print_tables
from pipeline.views import JOIN

COLUMNS = [
    *("system", "kind", "head", "encoders", "mean_pearson", "ci95_low", "ci95_high"),
    *("published_val", "published_test", "source", "note"),
]
GAIN_COLUMNS = ["modality", "added_to", "gain", "ci95_low", "ci95_high", "p_better"]

FOREIGN_NOTE = (
    "Published figures are of Hume-Reaction, mean Pearson on its Val and Test, and none is ours. "
    "Scores of ours are of {}: the two compare only where those are the same data. `not available` "
    "is a figure that we have not read in a public source; `source` says which systems were "
    "published together, as this project has noted them."
)

_N_DIGITS = 6


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
        lines = [*system_remarks(found), "", *map(str, files)]
        print_tables(text_tables(found, systems), lines)
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
    from pipeline.errors import report_extraction

    made, clips = params.encoders, read_clip_table()
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


def systems_table(found: Comparison, systems: Systems) -> pd.DataFrame:
    """Return our systems, each with the published figure that it carries on, then other figures.

    Returns
    -------
    DataFrame
        `COLUMNS`, in the order of `systems.yaml`, then the subsets of modalities, the stack of all
        these, the baselines, and the published results that stand beside no system of ours.
        ``kind`` is ``system``, ``modalities``, ``stack``, ``baseline`` or ``published``; a score is
        missing where there is none, and ``note`` says why where a fit failed. Published figures are
        text, as their source has them; ``source`` is empty where that is "not available".
    """
    rows: list[dict[str, str]] = [
        {
            "system": name,
            "kind": "system" if name in systems.systems else "modalities",
            "row": each.row,
            "head": each.head,
            "encoders": each.view,
            "note": each.note,
            **_figures(each.published),
        }
        for name, each in systems.all.items()
    ]
    others = {STACK: "stack"} if STACK in found.scores else {}
    others |= {task.name: "baseline" for task in found.plan.tasks if task.is_baseline}
    rows += [{"system": name, "kind": kind, "row": name} for name, kind in others.items()]
    beside = {each.published for each in systems.all.values()}
    rows += [
        {"system": name, "kind": "published", **_figures(name)}
        for name in PUBLISHED
        if name not in beside
    ]
    table = pd.DataFrame(rows).fillna("")
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
    scores = {
        subset: found.scores[system.row]
        for subset, system in systems.by_modality.items()
        if system.row in found.scores
    }
    rows = [
        (part, JOIN.join(to), each.gain, each.interval.low, each.interval.high, each.p_better)
        for (part, to), each in gains(scores).items()
    ]
    return pd.DataFrame(rows, columns=GAIN_COLUMNS).round(_N_DIGITS)


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
    labels = found.plan.params.data.labels
    title = f"Systems on {labels}, beside published figures. {heading(found)}"
    yield title, laid_out(table, names)
    gained = gains_table(found, systems)
    if len(gained):
        names = {"modality": "modality", "added_to": "added to", "gain": "gain"}
        names |= {"ci95_low": "95 % CI", "p_better": "P > 0"}
        title = f"What a modality adds ({systems.modality_head}; paired resamples of people)"
        yield title, laid_out(gained, names)


def write_systems(found: Comparison, systems: Systems, folder: Path) -> list[Path]:
    """Write ``systems.csv``, ``gains.csv``, ``systems.json`` and ``systems.md``.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    OSError
        When the folder cannot be written.
    """
    table, gained = systems_table(found, systems), gains_table(found, systems)
    content = {
        "split": found.plan.split,
        "labels": str(found.plan.params.data.labels),
        "systems": records(table),
        "gains": records(gained),
        "remarks": system_remarks(found),
    }
    texts = {
        "systems.csv": table.to_csv(index=False),
        "gains.csv": gained.to_csv(index=False),
        "systems.json": json.dumps(content, indent=2) + "\n",
        "systems.md": markdown_page(text_tables(found, systems), system_remarks(found)),
    }
    return write_texts(folder, texts)


def system_remarks(found: Comparison) -> list[str]:
    """Return what must be said beside the tables."""
    return [*remarks(found), FOREIGN_NOTE.format(found.plan.params.data.labels)]


def _figures(published: str | None) -> dict[str, str]:
    """Return what the columns of published figures say beside a system."""
    if published in PUBLISHED:
        return PUBLISHED[published]._asdict()
    test = NOT_AVAILABLE if published == NOT_AVAILABLE else ""
    return {"published_val": "", "published_test": test, "source": ""}
