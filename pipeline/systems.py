"""`eri systems`: the systems of `systems.yaml`, in one table beside published figures."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pandas as pd
import typer
from pydantic import Field

from features.encoders import AnyEncoder
from features.extraction.workers import Failure
from pipeline.clip_table import read_clip_table
from pipeline.compare import ScoredSplit, publish
from pipeline.comparison import Comparison, Split, plan_fits, run_comparison
from pipeline.leaderboard import STACK
from pipeline.params import Name, Params, left_out_note, load_run
from pipeline.paths import SYSTEM_FEATURES, SYSTEM_RESULTS, SYSTEMS
from pipeline.settings_files import Section, model_faults, nearest, read_yaml, refuse
from pipeline.tables import laid_out
from pipeline.terminal import Json
from pipeline.views import JOIN

NAMES = {
    **{"system": "system", "kind": "kind", "mean_pearson": "ours", "ci95_low": "95 % CI"},
    **{"published_val": "published val", "published_test": "published test"},
    **{"head": "head", "encoders": "encoders", "source": "source", "note": "note"},
}
"""Columns of the table, but for ``ci95_high``, and what readers call them."""

TIME_LIMIT_S = 3600.0
"""Longest time for one system."""

FOREIGN_NOTE = (
    "Published figures are of Hume-Reaction, mean Pearson on its Val and Test, and none is ours. "
    "Scores of ours are of {}: the two compare only where those are the same data. `not available` "
    "is a figure that we have not read in a public source; `source` says which systems were "
    "published together, as this project has noted them."
)


class Published(Section):
    """A published result: mean Pearson as text, with the digits of its source; empty if unknown."""

    val: str = ""
    test: str = ""
    source: str = ""


class System(Section):
    """A head, by its name under `heads` of `params.yaml` or its kind, on the join of some encoders.

    `published` is the result that stands beside it: a name under `published`.
    """

    encoders: tuple[str, ...] = Field(min_length=1)
    head: str
    published: str = ""

    @property
    def view(self) -> str:
        """The name of its view, whatever the order in which encoders were given."""
        return JOIN.join(sorted({*self.encoders}))

    @property
    def row(self) -> str:
        """The name of its row on the leaderboard."""
        return f"{self.head}/{self.view}"


class Systems(Section):
    """All of `systems.yaml`: our systems and published results by name.

    Its encoders stand beside those of `params.yaml`; the everyday run does without them.
    """

    encoders: dict[Name, AnyEncoder] = Field({})
    systems: dict[Name, System] = Field(min_length=1)
    published: dict[str, Published] = Field({})


def systems_command(split: ScoredSplit = None, as_json: Json = False) -> None:
    """Fit systems.yaml's systems, beside published figures.

    It needs the clip vectors and folds of one `dvc repro`, as `make systems` sees to. Encoders that
    only systems.yaml has are run first; what the cache holds is not computed again.

    Example: eri systems

    Example: eri systems --split oof --json
    """
    systems, params = load_systems(load_run(check_heads=False))
    plan = plan_systems(systems, params, split, extract_features(systems, params))
    found = run_comparison(plan, TIME_LIMIT_S, tell=partial(typer.echo, err=as_json))
    table, labels = systems_table(found, systems), params.data.labels
    title, note = f"Systems on {labels}, beside published figures. ", FOREIGN_NOTE.format(labels)
    text = laid_out(table, NAMES)
    publish(found, SYSTEM_RESULTS / "systems", table, text, as_json, title, note)


def load_systems(params: Params, path: Path = SYSTEMS) -> tuple[Systems, Params]:
    """Read and check `systems.yaml`; return it, and parameters with the encoders of both files.

    A missing or wrong file is a ParamsError with all its faults.
    """
    content = read_yaml(path)
    refuse(path, model_faults(Systems, content))
    systems = Systems.model_validate(content)
    refuse(path, _faults(systems, params))
    return systems, params.model_copy(update={"encoders": params.encoders | systems.encoders})


def extract_features(systems: Systems, params: Params) -> dict[str, str]:
    """Write ``data/systems``: feature stores of the encoders that only `systems.yaml` has.

    Returns
    -------
    dict of str to str
        The encoders of both files whose weights cannot be had, and why: a system without its
        network is said so in the table, and the others go on.
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
    systems: Systems, params: Params, split: Split | None = None, lacking: Mapping[str, str] = {}
) -> Comparison:
    """List what has to be fitted; systems of the same head and view are one row.

    Those with a `lacking` encoder, which has no features, have failed for the reason given there.
    """
    failures = {
        system.row: Failure(lacking[name])
        for system in systems.systems.values()
        for name in system.encoders
        if name in lacking
    }
    own = [each for each in systems.systems.values() if each.row not in failures]
    plan = plan_fits(params, [(each.head, each.view) for each in own], split)
    plan.failures |= failures
    return plan


def systems_table(found: Comparison, systems: Systems) -> pd.DataFrame:
    """Return our systems, each with the published figure that it carries on, then other figures.

    Returns
    -------
    DataFrame
        The columns of `NAMES` and ``ci95_high``: our systems, the stack of all of them and the
        baselines, and the published results that stand beside no system of ours. ``kind`` is
        ``system``, ``stack``, ``baseline`` or ``published``; a score is missing where there is
        none, and ``note`` says why where a fit failed. Published figures are text, as their source
        has them.
    """
    lines = [
        (name, "system", each.row, each.head, each.view, each.published)
        for name, each in systems.systems.items()
    ]
    if STACK in found.scores:
        lines.append((STACK, "stack", STACK, "", "all systems above", ""))
    baselines = [task.name for task in found.tasks if task.is_baseline]
    lines += [(name, "baseline", name, "", "", "") for name in baselines]
    beside = {each.published for each in systems.systems.values()}
    others = [name for name in systems.published if name not in beside]
    lines += [(name, "published", "", "", "", name) for name in others]
    known = {name: vars(each) for name, each in systems.published.items()} or {"": {}}
    figures = pd.DataFrame.from_dict(known, orient="index", columns=["val", "test", "source"])
    figures = figures.rename(columns={"val": "published_val", "test": "published_test"})
    table = pd.DataFrame(lines, columns=["system", "kind", "name", "head", "encoders", "result"])
    scores = found.table().rename(columns={"error": "note"})
    table = table.merge(scores, on="name", how="left").join(figures, on="result")
    table = table.fillna(dict.fromkeys([*figures.columns, "note"], ""))
    columns = list(NAMES)
    columns.insert(columns.index("ci95_low") + 1, "ci95_high")
    return table[columns]


def _faults(systems: Systems, params: Params) -> Iterator[str]:
    taken = [*params.feature_names, *params.left_out]
    known, results = [*taken, *systems.encoders], ["", *systems.published]
    for name in systems.encoders:
        if name in taken:
            yield f"encoders.{name}: params.yaml has an encoder of that name: choose another"
    for name, system in systems.systems.items():
        if system.published not in results:
            hint = nearest(system.published, results)
            yield f"systems.{name}.published: unknown result {system.published!r}{hint}"
        for encoder in set(system.encoders).difference(known):
            hint = nearest(encoder, known)
            yield f"systems.{name}.encoders: unknown encoder {encoder!r}{hint}"
