"""A clip over time: windows that slide over it, and tables and pictures of what they say."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from features.files import replacing_file
from pipeline.params import ParamsError
from pipeline.paths import file_name
from pipeline.tables import write_csv

if TYPE_CHECKING:
    import pandas as pd

MOST_WINDOWS = 100_000
"""Of a clip; headers of media files may say any duration."""


def sliding_windows(
    clip_id: str, duration_s: float, window_s: float, hop_s: float
) -> NDArray[np.float64]:
    """Return begins and ends of the windows of a clip, in seconds (n_windows, 2).

    A clip that is shorter than a window is one. A length that is not positive, and too many
    windows, are a ParamsError.
    """
    if not (0 < window_s < np.inf and 0 < hop_s < np.inf):
        raise ParamsError(f"expected positive seconds, not window {window_s} and hop {hop_s}")
    n_windows = int(max(duration_s - window_s, 0.0) / hop_s + 1e-9) + 1
    if n_windows > MOST_WINDOWS:
        raise ParamsError(
            f"the clip {clip_id} says to last {duration_s:.0f} s: {n_windows} windows, more than "
            f"{MOST_WINDOWS}; take a longer hop"
        )
    starts_s = np.arange(n_windows) * hop_s
    return np.stack([starts_s, starts_s + window_s], axis=1)


def write_timeline(windows: "pd.DataFrame", folder: Path) -> None:
    """Write ``timeline.csv``, ``timeline.parquet``, and a picture of each clip, called as it is.

    `windows` is from `pipeline.predict.Predictor.windows`.
    """
    write_csv(windows, folder / "timeline.csv")
    with replacing_file(folder / "timeline.parquet") as beside:
        windows.to_parquet(beside, index=False)
    for clip_id, part in windows.groupby("clip_id", sort=False):
        values = part.drop(columns="clip_id").dropna(axis="columns", how="all")
        if len(values.columns) > 1:
            with replacing_file(folder / file_name(str(clip_id), ".svg")) as beside:
                beside.write_text(timeline_svg(str(clip_id), values), encoding="utf-8")


def timeline_svg(title: str, windows: "pd.DataFrame") -> str:
    """Draw windows of a clip as one self-contained SVG, a strip per target.

    `windows` has ``time_s`` and a column per target, at least one number. All strips share one
    scale, so that their heights can be compared; a window without a prediction breaks the line.
    """
    import pandas as pd

    from pipeline import report
    from pipeline.report.figures import render_svg

    template = Path(report.__file__).parent / "templates" / "timeline.json"
    table = windows.melt("time_s", var_name="target")  # no target may be called so, or `value`
    table["place"] = pd.factorize(table["target"])[0]  # Vega-Lite would sort strips by name
    return render_svg(template, table, x="time_s", y="value", title=title)
