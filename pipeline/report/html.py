"""The report as one self-contained HTML page."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from pipeline.params import Params
from pipeline.report.text import imputed_counts, notes, official_where_other, refit_notes


def render_report(
    params: Params,
    clips: pd.DataFrame,
    metrics: Mapping[str, Any],
    table: pd.DataFrame,
    failures: Mapping[str, pd.DataFrame],
    imputed: pd.DataFrame,
    warnings: Sequence[str] = (),
) -> str:
    """Render the report.

    Parameters
    ----------
    params : Params
        Of the run.
    clips : DataFrame
        The clip table; its groups are the people.
    metrics : mapping
        What ``metrics.json`` holds.
    table : DataFrame
        The leaderboard.
    failures : mapping of str to DataFrame
        Failure table by encoder.
    imputed : DataFrame
        What ``imputed.csv`` holds.
    warnings : sequence of str
        What has to be said of the data.

    Returns
    -------
    str
        HTML that needs no network and no other file.
    """
    environment = Environment(
        loader=PackageLoader("pipeline.report"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["score"] = lambda value: "n/a" if _is_missing(value) else f"{value:+.3f}"
    environment.filters["shade"] = _shade
    split = "val" if "val_mean_pearson" in table else "oof"
    official = official_where_other(table, split)
    counts = clips.groupby("split", sort=False).agg(
        clips=("clip_id", "size"), people=("group", "nunique")
    )
    return environment.get_template("report.html").render(
        params=params,
        notes=notes(params) + refit_notes(params),
        split=split,
        splits=[s for s in ("val", "test", "oof") if f"{s}_mean_pearson" in table],
        rows=table.assign(official=official).to_dict("records"),
        has_official=bool((official != "").any()),
        stack=metrics["stack"][split],
        counts=counts.reset_index().to_dict("records"),
        imputed=imputed_counts(imputed),
        warnings=warnings,
        failures={name: each.to_dict("records") for name, each in failures.items()},
    )


def _shade(value: float | None) -> str:
    """Background of a heat-map cell: opacity by size, hue by sign."""
    if _is_missing(value):
        return "transparent"
    assert value is not None
    hue = 210 if value >= 0 else 15
    return f"hsl({hue} 80% 50% / {min(abs(value), 1) * 0.75:.2f})"


def _is_missing(value: float | None) -> bool:
    return value is None or pd.isna(value)
