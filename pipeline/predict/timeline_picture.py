"""Intensities of one clip over time as a picture: one self-contained SVG, a strip per target."""

from html import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_WIDTH, _STRIP, _GAP = 720, 56, 14
_LEFT, _RIGHT, _TOP, _BOTTOM = 130, 56, 40, 40


def timeline_svg(title: str, windows: pd.DataFrame) -> str:
    """Draw a clip's timeline.

    All strips share one scale, so that their heights can be compared. Where a window has no
    prediction, the line is broken.

    Parameters
    ----------
    title : str
        Written above, such as the clip's id.
    windows : DataFrame
        ``time_s`` and a column per target, from `Predictor.timeline`; at least one number.

    Returns
    -------
    str
        SVG, which refers to no other file and holds no script.
    """
    time_s = windows["time_s"].to_numpy(np.float64)
    values = windows.drop(columns="time_s")
    low, high = _range(values.to_numpy(np.float64))
    first_s, last_s = _range(time_s)
    height = _TOP + len(values.columns) * (_STRIP + _GAP) + _BOTTOM
    x = _LEFT + (time_s - first_s) / (last_s - first_s) * (_WIDTH - _LEFT - _RIGHT)
    parts = [_text(_LEFT, 24, title, "title")]
    for number, target in enumerate(values.columns):
        top = _TOP + number * (_STRIP + _GAP)
        level = values[target].to_numpy(np.float64)
        y = top + (high - level) / (high - low) * _STRIP
        right = _WIDTH - _RIGHT
        parts.append(
            f'<path class="frame" d="M{_LEFT} {top + _STRIP}H{right}M{_LEFT} {top}H{right}"/>'
        )
        parts.append(_text(_LEFT - 8, top + _STRIP / 2 + 4, str(target), "name"))
        parts.append(_text(right + 6, top + 8, f"{high:.2f}", "tick"))
        parts.append(_text(right + 6, top + _STRIP, f"{low:.2f}", "tick"))
        parts.extend(_line(x, y))
    bottom = height - _BOTTOM + 14
    parts.append(_text(_LEFT, bottom, f"{first_s:.1f} s", "tick"))
    parts.append(_text(_WIDTH - _RIGHT - 30, bottom, f"{last_s:.1f} s", "tick"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style>"
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>' + "\n".join(parts) + "</svg>\n"
    )


_STYLE = (
    "text{font:12px sans-serif;fill:#222}.title{font-size:15px}.name{text-anchor:end}"
    ".tick{font-size:10px;fill:#666}.frame{stroke:#ddd;fill:none}"
    ".line{stroke:#1f5fa8;stroke-width:1.8;fill:none}.point{fill:#1f5fa8}"
)


def _range(numbers: NDArray[np.float64]) -> tuple[float, float]:
    """Least and largest number; a little more where they are the same."""
    low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> list[str]:
    """Lines through neighbouring numbers, and a point for each: a lone one has no line."""
    known = ~np.isnan(y)
    commands = [
        f"{'L' if number and known[number - 1] else 'M'}{x[number]:.1f} {y[number]:.1f}"
        for number in np.flatnonzero(known)
    ]
    points = [
        f'<circle class="point" cx="{x[number]:.1f}" cy="{y[number]:.1f}" r="2"/>'
        for number in np.flatnonzero(known)
    ]
    return [f'<path class="line" d="{"".join(commands)}"/>', *points] if commands else []


def _text(x: float, y: float, content: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(content)}</text>'
