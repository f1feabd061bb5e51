"""Figures: the plots of `dvc.yaml`, filled as `dvc plots` fills them, and drawn as SVG offline.

A plot is a template of Vega-Lite in ``.dvc/plots`` and a table that a stage wrote. What
`dvc plots show` draws and what the report shows are therefore the same figure.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from markupsafe import Markup

from pipeline.settings_files import read_yaml

CHECKOUT = Path(__file__).parents[2]
TEMPLATES = CHECKOUT / ".dvc/plots"

_VEGA_LITE = "5.8"
_CONFIG = {  # one run is shown: nothing has to say which one, and the text stands beside it
    "aria": False,
    "axis": {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"},
    "header": {"labelFontSize": 0, "labelPadding": 0},
    "legend": {"disable": True},
}


class Plot(NamedTuple):
    """One entry of ``plots:`` in `dvc.yaml`: columns of a CSV file, drawn by a template."""

    template: str
    table: Path
    x: str
    y: str
    x_label: str
    y_label: str
    title: str


def read_plots() -> dict[str, Plot]:
    """Read the plots that the `dvc.yaml` of this code defines, by name."""
    plots = {}
    for entry in read_yaml(CHECKOUT / "dvc.yaml")["plots"]:
        for name, settings in entry.items():
            ((table, y),) = settings["y"].items()
            plots[str(name)] = Plot(**{**settings, "table": Path(table), "y": y})
    return plots


def render_svg(
    template: str | Path,
    table: pd.DataFrame,
    config: Mapping[str, Any] | None = None,
    **properties: str,
) -> str:
    """Fill a Vega-Lite template as DVC does, and draw it.

    Parameters
    ----------
    template : str or Path
        Name of a template in ``.dvc/plots``, or the whole path of one.
    table : DataFrame
        One mark per row; must not be empty.
    config : mapping, optional
        Of Vega-Lite, such as sizes of text, beyond what the template says.
    **properties : str
        What the template asks for: ``x``, ``y`` (columns), ``x_label``, ``y_label``, ``title``.

    Returns
    -------
    str
        One ``<svg>`` element without scripts, which refers to nothing outside. The same input gives
        the same text. Whatever the table holds is escaped.
    """
    import vl_convert
    from dvc_render.vega import VegaRenderer

    rows = json.loads(table.assign(rev="workspace").to_json(orient="records"))
    filled = VegaRenderer(
        rows, "plot", template=str(template), template_dir=str(TEMPLATES), **properties
    ).get_filled_template()
    return vl_convert.vegalite_to_svg(
        filled, vl_version=_VEGA_LITE, config=dict(config or {}), allowed_base_urls=[]
    )


def draw(plot: Plot, table: pd.DataFrame, title: str = "") -> Markup:
    """Draw the table of a plot, or a part of it, with a text alternative for who cannot see it.

    The table is one of text, where an empty cell is missing; the title is by default the plot's.
    """
    title = title or plot.title
    labels = {name: getattr(plot, name) for name in ("x", "y", "x_label", "y_label")}
    svg = render_svg(plot.template, table, _CONFIG, title=title, **labels)
    start = Markup('<svg role="img" aria-label="{}" ').format(f"{title}. {_in_words(plot, table)}")
    return Markup(svg.replace("<svg ", start, 1))


def _in_words(plot: Plot, table: pd.DataFrame) -> str:
    """Say how many marks a figure has, and what they range over; tables beside it say the rest."""
    labels = {plot.x: plot.x_label, plot.y: plot.y_label, "value": "value"}
    numbers = table.reindex(columns=[*labels]).apply(pd.to_numeric, errors="coerce")
    ends = numbers.agg(["min", "max"]).T.dropna().itertuples()
    ranges = [f"{labels[name]} from {low:.3g} to {high:.3g}" for name, low, high in ends]
    return f"{len(table)} marks; {', '.join(ranges)}"
