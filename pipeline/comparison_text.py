"""What a comparison says: as tables of text, as files, as JSON."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.files import replacing_file
from pipeline.comparison import Comparison
from pipeline.leaderboard import SPLITS, records, score_records
from pipeline.text_tables import laid_out, markdown_page, notes, signed_text, write_texts


def heading(found: Comparison) -> str:
    """Say what is scored, on how many clips and people, and how intervals are made."""
    plan, rows = found.plan, found.plan.rows
    in_split = (rows.clips["split"] == SPLITS[plan.split]).to_numpy(bool)
    labelled = in_split & np.isfinite(rows.y).any(axis=1)
    where = "on Val" if plan.split == "val" else "out of fold on Train"
    return (
        f"Mean Pearson over {len(plan.params.targets)} targets {where}: {labelled.sum():,} clips "
        f"of {len(set(rows.people[labelled])):,} people; intervals and P from "
        f"{plan.params.evaluation.n_resamples:,} resamples of people"
    )


def main_table(found: Comparison) -> pd.DataFrame:
    """Lay out the leaderboard: per row its score, how sure it is, time, and score by target."""
    table, targets = found.table(), found.plan.params.targets
    names = {
        **{"name": "head/view", "mean_pearson": "mean r", "ci95_low": "95 % CI"},
        **{"better_than_best": "P > best", "pooled_mean_pearson": "pooled"},
        **{"fit_s": "fit s", "constant": "constant"},
        **{f"pearson_{target}": target for target in targets},
    }
    empty = set() if table["constant"].any() else {"constant"}
    shown = {column: name for column, name in names.items() if column in set(table) - empty}
    text = laid_out(table, shown)
    text.iloc[:, 1] = text.iloc[:, 1].where(table["error"] == "", "failed")
    return text


def all_tables(found: Comparison) -> Iterator[tuple[str, pd.DataFrame]]:
    """Lay out the leaderboard, scores by slice, and the learning curve, with their titles."""
    yield heading(found), main_table(found)
    if found.slices is not None:
        columns = {"head/view": found.slices["name"].drop_duplicates().reset_index(drop=True)}
        for name, part in found.slices.groupby("slice", sort=False):
            size = f"{part['n_rows'].iloc[0]:,} clips, {part['n_people'].iloc[0]:,} people"
            columns[f"{name}: {size}"] = signed_text(part["mean_pearson"]).reset_index(drop=True)
        yield f"Mean Pearson by {found.plan.by}", pd.DataFrame(columns)
    if found.curve is not None:
        names = {"n_people": "people", "n_rows": "clips", "mean_pearson": "mean r"}
        names |= {"ci95_low": "95 % CI", "lowest": "lowest", "highest": "highest"}
        yield f"Learning curve of {found.curve_of} on Val", laid_out(found.curve, names)


def remarks(found: Comparison) -> list[str]:
    """Say what failed and why, and what must be said beside every result."""
    return [outcome(found, name) for name in found.failures] + notes(found.plan.params)


def write_files(found: Comparison, folder: Path) -> list[Path]:
    """Write the leaderboard, second tables, and the tracebacks of what failed.

    Parameters
    ----------
    found : Comparison
        When all is done.
    folder : Path
        Gets ``leaderboard.parquet``, ``.csv`` and ``.md``; ``slices.csv`` and
        ``learning_curve.csv`` where asked for; ``errors.txt`` where something failed.

    Returns
    -------
    list of Path
        What was written.
    """
    table = found.table()
    table.insert(1, "split", found.plan.split)
    failures = found.failures.items()
    errors = "\n\n".join(f"{name}: {each.reason}\n{each.details}" for name, each in failures)
    with replacing_file(folder / "leaderboard.parquet") as beside:
        table.to_parquet(beside, index=False)
    texts = {
        "leaderboard.csv": table.to_csv(index=False),
        "leaderboard.md": markdown_page(all_tables(found), remarks(found)),
        "slices.csv": None if found.slices is None else found.slices.to_csv(index=False),
        "learning_curve.csv": None if found.curve is None else found.curve.to_csv(index=False),
        "errors.txt": errors or None,
    }
    return [folder / "leaderboard.parquet", *write_texts(folder, texts)]


def as_content(found: Comparison, files: Sequence[Path]) -> dict[str, Any]:
    """Return all that is known of a comparison, for `json.dumps`; what is undefined is None."""
    targets = found.plan.params.targets
    return {
        "split": found.plan.split,
        "targets": list(targets),
        "n_reused": found.n_reused,
        "rows": score_records(found.table(), targets),
        "slices": records(found.slices),
        "learning_curve": records(found.curve),
        "remarks": remarks(found),
        "files": [str(path) for path in files],
    }


def outcome(found: Comparison, name: str) -> str:
    """Say in one line what came of a row."""
    if name in found.failures:
        return f"{name} failed: {found.failures[name].reason}"
    score, took_s = found.scores[name].mean_pearson, found.fits[name].fit_s
    return f"{name}: mean Pearson {score:+.3f}, {took_s:.1f} s"
