"""Figures: the plots of `dvc.yaml`, filled as `dvc plots` fills them, and drawn as SVG offline.

A plot is a template of Vega-Lite in ``.dvc/plots`` and a table that a stage wrote. What
`dvc plots show` draws and what the report shows are therefore the same figure.
"""

from pathlib import Path
from typing import NamedTuple

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


def draw(plot: Plot, table: pd.DataFrame, title: str = "") -> Markup:
    """Fill a plot's template as DVC does, and draw it, with a text for who cannot see it.

    Parameters
    ----------
    plot : Plot
        From `read_plots`.
    table : DataFrame
        Its table, or a part of it, as text, where an empty cell is missing; one mark per row, and
        not empty.
    title : str
        By default the plot's.

    Returns
    -------
    Markup
        One ``<svg>`` element without scripts, which refers to nothing outside. The same input gives
        the same text. Whatever the table holds is escaped.
    """
    import vl_convert
    from dvc_render.vega import VegaRenderer

    title = title or plot.title
    rows = table.assign(rev="workspace").to_dict("records")
    texts = {name: getattr(plot, name) for name in ("template", "x", "y", "x_label", "y_label")}
    filled = VegaRenderer(rows, "plot", template_dir=str(TEMPLATES), title=title, **texts)
    svg = vl_convert.vegalite_to_svg(
        filled.get_filled_template(), vl_version=_VEGA_LITE, config=_CONFIG, allowed_base_urls=[]
    )
    said = f"{title}: {plot.y_label}, {plot.x_label}; {len(table)} marks"  # tables say the rest
    start = Markup('<svg role="img" aria-label="{}" ').format(said)
    return Markup(svg.replace("<svg ", start, 1))
