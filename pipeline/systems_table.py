"""The systems as tables: ours beside published ones, and what each modality adds."""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from models.evaluation.scores import gains
from pipeline.comparison import Comparison
from pipeline.comparison_text import heading, remarks
from pipeline.leaderboard import STACK, records
from pipeline.published import NOT_AVAILABLE, PUBLISHED
from pipeline.systems import Systems
from pipeline.text_tables import laid_out, markdown_page, write_texts
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
    ours = pd.DataFrame(
        [
            (
                *(name, "system" if name in systems.systems else "modalities", each.row),
                *(each.head, each.view, each.note, each.published),
            )
            for name, each in systems.all.items()
        ],
        columns=["system", "kind", "row", "head", "encoders", "note", "published"],
    )
    others = [(STACK, "stack", STACK)] if STACK in found.scores else []
    others += [(t.name, "baseline", t.name) for t in found.plan.tasks if t.is_baseline]
    beside = set(ours["published"])
    foreign = [(name, "published", name) for name in PUBLISHED if name not in beside]
    table = pd.concat(
        [
            ours,
            pd.DataFrame(others, columns=["system", "kind", "row"]),
            pd.DataFrame(foreign, columns=["system", "kind", "published"]),
        ],
        ignore_index=True,
    ).fillna("")
    table.loc[table["kind"] == "stack", "encoders"] = "all systems above"
    scores = found.table().set_index("name")
    table = table.join(scores[["mean_pearson", "ci95_low", "ci95_high", "error"]], on="row")
    failed = table["error"].fillna("").map(lambda why: why and f"failed: {why}")
    table["note"] = [
        "; ".join(filter(None, notes)) for notes in zip(table["note"], failed, strict=True)
    ]
    figures = pd.DataFrame.from_dict(PUBLISHED, orient="index")
    table = table.join(figures, on="published")
    table.loc[table["published"] == NOT_AVAILABLE, "published_test"] = NOT_AVAILABLE
    text = ["published_val", "published_test", "source"]
    table[text] = table[text].fillna("")
    return table[COLUMNS]


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


def text_tables(found: Comparison, systems: Systems) -> Iterator[tuple[str, pd.DataFrame]]:
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
