"""SVG by hand: elements, scales and axes. Colours are classes, so that both colour schemes fit.

A drawing library would bring its own fonts, sizes and colours, which follow neither the reader's
colour scheme nor a phone's width; what the report draws needs these few functions only. The style
sheet (``templates/_style.html``) gives every class its colours, for light, dark and print.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import ArrayLike

N_SEQUENTIAL = 6
"""Steps ``s1`` to ``s6`` of the sequential colours."""

N_DIVERGING = 4
"""Steps ``n4`` to ``n1``, ``z``, ``p1`` to ``p4`` of the diverging colours."""


@dataclass(frozen=True)
class Scale:
    """From data to drawing units, linearly.

    Attributes
    ----------
    low, high : float
        Ends in data units; they differ.
    start, end : float
        Where those ends are drawn.
    """

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(
        cls, values: ArrayLike, start: float, end: float, include: Iterable[float] = ()
    ) -> "Scale":
        """Make a scale that shows all finite values, those of `include` too, and a little margin.

        Without any value it goes from 0 to 1.
        """
        known = np.append(np.ravel(np.asarray(values, dtype=np.float64)), list(include))
        known = known[np.isfinite(known)]
        low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
        margin = 0.04 * (high - low) or max(0.05 * abs(high), 0.05)
        return cls(low - margin, high + margin, start, end)

    def __call__(self, value: float) -> float:
        """Return where a value is drawn."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def shows(self, value: float) -> bool:
        """Tell whether a value lies between the ends."""
        return self.low <= value <= self.high

    def ticks(self, n_most: int = 6) -> list[float]:
        """Return at most `n_most` round numbers between the ends, at steps of 1, 2 or 5."""
        rough = (self.high - self.low) / n_most
        magnitude = 10.0 ** math.floor(math.log10(rough))
        step = next(k * magnitude for k in (1, 2, 5, 10, 20) if k * magnitude >= rough)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(k * step, 12) + 0.0 for k in range(first, last + 1)][:n_most]


def tag(name: str, *content: object, **attributes: object) -> Markup:
    """Write an element; text and attribute values are escaped, numbers get one decimal.

    In the names of attributes ``_`` stands for ``-``, and one at the end falls away.
    """
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _value(value))
        for key, value in attributes.items()
    )
    inside = Markup("").join(escape(each) for each in content)
    if not inside and name not in ("text", "title", "desc"):
        return Markup("<{}{}/>").format(Markup(name), written)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), written, inside)


def drawing(
    name: str, title: str, description: str, size: tuple[float, float], content: Iterable[Markup]
) -> Markup:
    """Write a drawing with its text alternative.

    Parameters
    ----------
    name : str
        Its id, of its own on the page; letters, digits and hyphens.
    title, description : str
        What it shows, and what can be read off it.
    size : (float, float)
        Width and height in drawing units; the style sheet scales it to the page.
    content : iterable of Markup
        Its elements.
    """
    width, height = size
    return tag(
        "svg",
        tag("title", title, id=f"{name}-title"),
        tag("desc", description, id=f"{name}-desc"),
        *content,
        id=name,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
    )


def path(points: Iterable[str], class_: str) -> Markup:
    """Write one path of many pieces: far smaller than an element for each."""
    return tag("path", d="".join(points), class_=class_)


def number(value: float) -> str:
    """Write a coordinate with at most one decimal.

    Raises
    ------
    ValueError
        When it is not finite: no browser draws such an element.
    """
    if not math.isfinite(value):
        raise ValueError(f"{value} is no coordinate; leave out what has no finite value.")
    return f"{round(float(value), 1) + 0.0:g}"


def x_axis(scale: Scale, top: float, bottom: float, title: str) -> list[Markup]:
    """Draw light grid lines, tick labels and the title below; a stronger line at zero."""
    marks = []
    for tick in scale.ticks():
        x = scale(tick)
        marks.append(tag("line", x1=x, x2=x, y1=top, y2=bottom, class_=_line_class(tick)))
        marks.append(_text(tick_text(tick), x, bottom + 14, "tick middle"))
    middle = (scale.start + scale.end) / 2
    return [*marks, _text(title, middle, bottom + 29, "axis middle")]


def y_axis(scale: Scale, left: float, right: float, title: str) -> list[Markup]:
    """As `x_axis`, on the left; the title stands above the axis, where it can be read."""
    marks = []
    for tick in scale.ticks():
        y = scale(tick)
        marks.append(tag("line", x1=left, x2=right, y1=y, y2=y, class_=_line_class(tick)))
        marks.append(_text(tick_text(tick), left - 5, y + 4, "tick end"))
    return [*marks, _text(title, 2, 11, "axis")]


def tick_text(value: float) -> str:
    """Write the number at a tick."""
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")


def shortened(text: str, n_most: int) -> str:
    """Cut a text in its middle; names often differ at their ends."""
    if len(text) <= n_most:
        return text
    head = n_most // 2
    return f"{text[:head]}…{text[len(text) - (n_most - head - 1) :]}"


def diverging_step(value: float, most: float) -> str:
    """Return the class of a value's colour, where `most` is the largest size shown."""
    if not math.isfinite(value):
        return "none"
    step = round(min(abs(value) / most, 1) * N_DIVERGING) if most > 0 else 0
    return "z" if step == 0 else f"{'p' if value > 0 else 'n'}{step}"


def sequential_step(share: float) -> str:
    """Return the class of the colour of a share between 0 and 1."""
    return f"s{min(max(math.ceil(share * N_SEQUENTIAL), 1), N_SEQUENTIAL)}"


def largest(values: Sequence[float]) -> float:
    """Return the largest size among finite values, rounded up to a tenth; 0.1 without any."""
    known = [abs(value) for value in values if math.isfinite(value)]
    return max(math.ceil(max(known, default=0.0) * 10 - 1e-9) / 10, 0.1)


def _text(content: str, x: float, y: float, class_: str) -> Markup:
    return tag("text", content, x=x, y=y, class_=class_)


def _value(value: object) -> object:
    return number(value) if isinstance(value, int | float) else value


def _line_class(tick: float) -> str:
    return "zero" if tick == 0 else "grid"
