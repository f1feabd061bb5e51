"""The charts of the report, as SVG: intervals, scatters, calibration, histograms.

They are drawn 400 or 280 units wide, so that text keeps its size on a phone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from pipeline.report.figures import (
    Scale,
    drawing,
    number,
    path,
    sequential_step,
    shortened,
    tag,
    x_axis,
    y_axis,
)
from pipeline.report.numbers import interval, is_missing, plain, signed

MAX_POINTS = 1000
"""More points than this are drawn as a 2-D histogram."""

Kind = Literal["main", "plain", "soft"]
Floats = NDArray[np.float64]

_WIDE, _ROW, _TEXT, _TOP = 400.0, 36.0, 17.0, 4.0
_PANEL = (280.0, 240.0)
_CURVE = (400.0, 240.0)
_LEFT, _RIGHT, _PANEL_TOP, _BOTTOM = 40.0, 265.0, 22.0, 204.0
_N_BINS = 32
_LABEL_LENGTH = 52


@dataclass(frozen=True)
class Mark:
    """One row of a chart of intervals.

    Attributes
    ----------
    label : str
        Written above the mark.
    value, low, high : float
        The estimate and the ends of its interval; NaN where there is none.
    kind : {"main", "plain", "soft"}
        ``main`` is a filled diamond, ``plain`` a filled dot, ``soft`` a hollow one.
    """

    label: str
    value: float
    low: float
    high: float
    kind: Kind = "plain"


def span_of(marks: Iterable[Mark]) -> tuple[float, float]:
    """Return the least and the largest number that marks show, zero included."""
    numbers = [each for mark in marks for each in (mark.value, mark.low, mark.high)]
    known = [each for each in numbers if not is_missing(each)]
    return min([0.0, *known]), max([0.0, *known])


def intervals(
    name: str,
    title: str,
    axis: str,
    marks: Sequence[Mark],
    span: tuple[float, float] | None = None,
) -> Markup:
    """Draw estimates as dots with their intervals as whiskers, one row each, with a zero line.

    Parameters
    ----------
    name, title : str
        As in `pipeline.report.figures.drawing`.
    axis : str
        What is measured.
    marks : sequence of Mark
        From top to bottom.
    span : (float, float), optional
        What the axis has to show, so that several charts share one; by default that of the marks.
    """
    bottom = _TOP + _ROW * len(marks) + 4
    scale = Scale.over(span or span_of(marks), 10, _WIDE - 10)
    parts = x_axis(scale, _TOP, bottom, axis)
    for row, mark in enumerate(marks):
        parts.append(_interval_row(mark, scale, _TOP + _ROW * row))
    said = [f"{m.label}: {signed(m.value)} {interval(m.low, m.high)}" for m in marks]
    return drawing(name, title, "; ".join(said), (_WIDE, bottom + 36), parts)


def scatter(name: str, title: str, x: Floats, y: Floats, axes: tuple[str, str]) -> Markup:
    """Draw points; from `MAX_POINTS` on as a 2-D histogram, darker where more of them are.

    Parameters
    ----------
    name, title : str
        As in `pipeline.report.figures.drawing`.
    x, y : array of float64 [n_points]
        Finite.
    axes : (str, str)
        What is drawn to the right and upwards.
    """
    across, up = _panel_scales(x, y)
    parts = [*x_axis(across, _PANEL_TOP, _BOTTOM, axes[0]), *y_axis(up, _LEFT, _RIGHT, axes[1])]
    if len(x) <= MAX_POINTS:
        dots = (f"M{number(across(a))} {number(up(b))}h0" for a, b in zip(x, y, strict=True))
        parts.append(path(dots, "points"))
        how = f"{len(x)} points"
    else:
        cells, most = _density(x, y, across, up)
        parts += cells
        how = f"{len(x)} points in {_N_BINS} x {_N_BINS} cells, at most {most} in one"
    description = f"{axes[1]} against {axes[0]}, {how}. {_range(axes[0], x)}; {_range(axes[1], y)}."
    return drawing(name, title, description, _PANEL, parts)


def calibration(
    name: str, title: str, marks: Sequence[tuple[float, Mark]], axes: tuple[str, str]
) -> Markup:
    """Draw what came of what was predicted: dots with intervals beside the diagonal.

    Parameters
    ----------
    name, title : str
        As in `pipeline.report.figures.drawing`.
    marks : sequence of (float, Mark)
        The mean prediction of a band of clips, and the mean of their labels.
    axes : (str, str)
        What is drawn to the right and upwards.
    """
    numbers = [each for at, m in marks for each in (at, m.value, m.low, m.high)]
    across = Scale.over(numbers, _LEFT, _RIGHT)
    up = Scale(across.low, across.high, _BOTTOM, _PANEL_TOP)
    parts = [*x_axis(across, _PANEL_TOP, _BOTTOM, axes[0]), *y_axis(up, _LEFT, _RIGHT, axes[1])]
    parts.append(tag("line", x1=_LEFT, y1=_BOTTOM, x2=_RIGHT, y2=_PANEL_TOP, class_="diagonal"))
    for at, mark in marks:
        x = across(at)
        if not (is_missing(mark.low) or is_missing(mark.high)):
            parts.append(
                tag("line", x1=x, x2=x, y1=up(mark.low), y2=up(mark.high), class_="whisker")
            )
        parts.append(tag("circle", cx=x, cy=up(mark.value), r=3.5, class_="dot"))
    said = [
        f"{axes[0]} {plain(at)}: {axes[1]} {plain(m.value)} {interval(m.low, m.high)}"
        for at, m in marks
    ]
    return drawing(name, title, "; ".join(said) or "no labelled clips", _PANEL, parts)


def curve(
    name: str, title: str, marks: Sequence[tuple[float, Mark]], axes: tuple[str, str]
) -> Markup:
    """Draw estimates along an axis as a line in its band, which is their intervals.

    Parameters
    ----------
    name, title : str
        As in `pipeline.report.figures.drawing`.
    marks : sequence of (float, Mark)
        Where an estimate stands, from left to right, and the estimate.
    axes : (str, str)
        What is drawn to the right and upwards.
    """
    across = Scale.over([at for at, _ in marks], _LEFT, _WIDE - 15, include=[0.0])
    low, high = span_of([mark for _, mark in marks])
    up = Scale.over([low, high], _BOTTOM, _PANEL_TOP)
    parts = [*x_axis(across, _PANEL_TOP, _BOTTOM, axes[0]), *y_axis(up, _LEFT, _WIDE, axes[1])]
    banded = [(across(at), m) for at, m in marks if not (is_missing(m.low) or is_missing(m.high))]
    if banded:
        edge = [(x, m.high) for x, m in banded] + [(x, m.low) for x, m in reversed(banded)]
        parts.append(path([_line((x, up(value)) for x, value in edge), "z"], "band"))
    known = [(across(at), up(m.value)) for at, m in marks if not is_missing(m.value)]
    parts.append(path([_line(known)], "curve"))
    said = [f"{plain(at, 0)}: {signed(m.value)} {interval(m.low, m.high)}" for at, m in marks]
    parts += [tag("circle", cx=x, cy=y, r=4, class_="dot main") for x, y in known]
    return drawing(name, title, f"{axes[1]} by {axes[0]}: " + "; ".join(said), _CURVE, parts)


def histogram(name: str, title: str, values: Floats, axes: tuple[str, str]) -> Markup:
    """Draw how often values occur.

    Parameters
    ----------
    name, title : str
        As in `pipeline.report.figures.drawing`.
    values : array of float64 [n_values]
        Finite, at least one.
    axes : (str, str)
        What is measured, and what is counted.
    """
    counts, edges = np.histogram(values, bins=min(30, max(5, int(len(values) ** 0.5))))
    across = Scale.over(edges, _LEFT, _RIGHT, include=[0.0])
    up = Scale(0.0, float(counts.max()) * 1.04, _BOTTOM, _PANEL_TOP)
    bars = [
        tag(
            "rect",
            x=across(low) + 0.5,
            y=up(count),
            width=max(across(high) - across(low) - 1, 0.5),
            height=_BOTTOM - up(count),
            class_="bar",
        )
        for count, low, high in zip(counts.tolist(), edges[:-1], edges[1:], strict=True)
        if count
    ]
    ruled = y_axis(up, _LEFT, _RIGHT, axes[1])
    description = f"{len(values)} {axes[1]}. {_range(axes[0], values)}."
    parts = [*ruled, *bars, *x_axis(across, _PANEL_TOP, _BOTTOM, axes[0])]
    return drawing(name, title, description, _PANEL, parts)


def _interval_row(mark: Mark, scale: Scale, top: float) -> Markup:
    value = f"{signed(mark.value)} {interval(mark.low, mark.high)}"
    room = _LABEL_LENGTH - len(value)
    parts = [
        tag("title", f"{mark.label}: {value}"),
        tag("rect", x=0, y=top, width=_WIDE, height=_TEXT, class_="under-text"),
        tag("text", shortened(mark.label, room), x=10, y=top + 13, class_=f"label {mark.kind}"),
        tag("text", value, x=_WIDE - 10, y=top + 13, class_="value end"),
    ]
    y = top + 24
    if not (is_missing(mark.low) or is_missing(mark.high)):
        ends = {"x1": scale(mark.low), "x2": scale(mark.high)}
        parts.append(tag("line", **ends, y1=y, y2=y, class_=f"whisker {mark.kind}"))
    if not is_missing(mark.value):
        parts.append(_dot(scale(mark.value), y, mark.kind))
    return tag("g", *parts)


def _line(points: Iterable[tuple[float, float]]) -> str:
    corners = "L".join(f"{number(x)} {number(y)}" for x, y in points)
    return f"M{corners}" if corners else ""


def _dot(x: float, y: float, kind: Kind) -> Markup:
    if kind == "main":
        points = f"M{number(x - 6)} {number(y)}l6 -6l6 6l-6 6z"
        return path([points], "dot main")
    return tag("circle", cx=x, cy=y, r=4, class_=f"dot {kind}")


def _panel_scales(x: Floats, y: Floats) -> tuple[Scale, Scale]:
    return Scale.over(x, _LEFT, _RIGHT), Scale.over(y, _BOTTOM, _PANEL_TOP)


def _density(x: Floats, y: Floats, across: Scale, up: Scale) -> tuple[list[Markup], int]:
    """Return one path per colour: the cells whose counts it stands for, on a log scale."""
    ranges = [(across.low, across.high), (up.low, up.high)]
    counts = np.histogram2d(x, y, bins=_N_BINS, range=ranges)[0]
    width, height = (_RIGHT - _LEFT) / _N_BINS, (_BOTTOM - _PANEL_TOP) / _N_BINS
    cells: dict[str, list[str]] = {}
    most = counts.max()
    for column, row in np.argwhere(counts > 0):
        step = sequential_step(np.log1p(counts[column, row]) / np.log1p(most))
        left, top = _LEFT + column * width, _BOTTOM - (row + 1) * height
        cell = f"M{number(left)} {number(top)}h{number(width)}v{number(height)}h{number(-width)}z"
        cells.setdefault(step, []).append(cell)
    return [path(each, f"cell {step}") for step, each in sorted(cells.items())], int(most)


def _range(name: str, values: Floats) -> str:
    if not len(values):
        return f"no {name}"
    return f"{name} from {plain(float(values.min()))} to {plain(float(values.max()))}"
