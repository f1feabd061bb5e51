"""Intensities of one clip over time as a picture: one self-contained SVG, a strip per target."""

from pathlib import Path

import pandas as pd

from pipeline import report
from pipeline.report.figures import render_svg

_TEMPLATE = Path(report.__file__).parent / "templates" / "timeline.json"


def timeline_svg(title: str, windows: pd.DataFrame) -> str:
    """Draw a clip's timeline.

    All strips share one scale, so that their heights can be compared. Where a window has no
    prediction, the line is broken.

    Parameters
    ----------
    title : str
        Written above, such as the clip's id.
    windows : DataFrame
        ``time_s`` and a column per target, from `Predictor.windows`; at least one number.

    Returns
    -------
    str
        SVG, which refers to no other file and holds no script.
    """
    table = windows.melt("time_s", var_name="target", value_name="intensity")
    table["place"] = pd.factorize(table["target"])[0]  # Vega-Lite would sort strips by name
    return render_svg(_TEMPLATE, table, x="time_s", y="intensity", title=title)
