"""Charts of the report as inline SVG, whose colours and fonts are those of the page."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

Vector = np.ndarray[Any, np.dtype[Any]]
Values = Sequence[float] | Vector

# Colours that nothing else has, each a variable of the page's style.
INK: Final = "#010101"
MUTED: Final = "#020202"
LINE: Final = "#030303"
ACCENT: Final = "#040404"
_VARIABLES: Final = {INK: "ink", MUTED: "muted", LINE: "line", ACCENT: "accent"}

# What Matplotlib writes for a file of its own: fonts, ids and a style of everything.
_REMOVED: Final = (
    re.compile(r"<metadata>.*?</metadata>", re.DOTALL),
    re.compile(r"<!--.*?-->", re.DOTALL),
    re.compile(r"<style.*?</style>", re.DOTALL),
    re.compile(r'<g id="[^"]*"/>'),
    re.compile(r'(?<=<g) id="[^"]*"'),
    re.compile(r"font-family: [^;\"]*; ?"),
)

_WHOLE: Final = StrMethodFormatter("{x:,.0f}")
_SIZE: Final = (4.8, 2.7)
# Points around the axes, with room for labels and for numbers of seven digits. Where Matplotlib
# finds the room, it measures every text several times, which takes longer than the drawing.
_POINTS: Final = 72
_LEFT: Final = 62
_RIGHT: Final = 10
_TOP: Final = 16
_BOTTOM: Final = 36
# Points between the edge of a chart and the inner side of the label of an axis.
_LABEL: Final = 14
_FONT_SIZE: Final = 9
# Width of a character, in sizes of the font.
_CHARACTER: Final = 0.6
# Longest name in a chart; tables have the whole one.
_LONGEST: Final = 32
# Matplotlib's own type for it has a name for every key.
_STYLE: Final[Any] = {
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,
    "font.size": _FONT_SIZE,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}


def bars(labels: Sequence[str], counts: Values, x: str, y: str, text: str) -> Markup:
    """Returns a bar for each label.

    Args:
        labels: Names of the bars.
        counts: Heights of the bars.
        x: Label of the horizontal axis.
        y: Label of the vertical axis.
        text: What the chart shows, for those who do not see it.
    """
    with _chart(x, y) as (figure, axes):
        axes.bar(range(len(labels)), counts, color=ACCENT, width=0.8)
        step = -(-len(labels) // 11)
        axes.set_xticks(range(0, len(labels), step), labels[::step])
        axes.yaxis.set_major_formatter(_WHOLE)
        axes.grid(axis="y")
    return _svg(figure, text)


def lines(
    x: Values,
    series: Mapping[str, Values],
    labels: tuple[str, str],
    text: str,
    mark: float | None = None,
    mark_label: str = "",
    log: str = "",
) -> Markup:
    """Returns a line for each series.

    Args:
        x: Positions of all points.
        series: Heights by name; the first one is in the accent colour.
        labels: Labels of the axes.
        text: What the chart shows, for those who do not see it.
        mark: Position to mark, or None.
        mark_label: Text at the mark.
        log: Which axes are logarithmic: "", "x" or "xy".
    """
    with _chart(*labels) as (figure, axes):
        for place, (name, values) in enumerate(series.items()):
            axes.plot(
                x,
                values,
                label=name,
                color=MUTED if place else ACCENT,
                linestyle="--" if place else "-",
                linewidth=1.6,
                marker="o" if len(x) <= 12 else "",  # noqa: PLR2004
                markersize=3,
            )
        if mark is not None:
            axes.axvline(mark, color=MUTED, linewidth=1, linestyle=":")
            axes.annotate(
                mark_label, (mark, 1), xycoords=("data", "axes fraction"),
                xytext=(0, 2), textcoords="offset points", ha="center", va="bottom", color=MUTED,
            )  # fmt: skip
        if "x" in log:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(_WHOLE)
        else:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if "y" in log:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(_WHOLE)
        # They take most of the time of a logarithmic chart.
        axes.minorticks_off()
        if len(series) > 1:
            axes.legend()
        axes.grid(axis="y")
    return _svg(figure, text)


def points_with_ends(
    names: Sequence[str],
    values: Sequence[float],
    ends: Sequence[tuple[float, float] | None],
    x: str,
    text: str,
    reference: float | None = None,
) -> Markup:
    """Returns a row for each name, with a point and the ends of its interval.

    Args:
        names: Names of the rows, from the top.
        values: Position of each point.
        ends: Ends of each interval; None draws none.
        x: Label of the axis.
        text: What the chart shows, for those who do not see it.
        reference: Position of a vertical line, or None.
    """
    height = (_TOP + _BOTTOM) / _POINTS + 0.21 * len(names)
    names = [name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…" for name in names]
    left = 8 + _CHARACTER * _FONT_SIZE * max(map(len, names))
    with _chart(x, "", (_SIZE[0], height), left) as (figure, axes):
        rows = np.arange(len(names))
        found = [(row, *pair) for row, pair in zip(rows, ends, strict=True) if pair is not None]
        if found:
            axes.hlines(*zip(*found, strict=True), color=ACCENT, linewidth=1.6, alpha=0.5)
        axes.plot(values, rows, "o", color=ACCENT, markersize=4)
        if reference is not None:
            axes.axvline(reference, color=MUTED, linewidth=1, linestyle="--")
        axes.set_yticks(rows, names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.grid(axis="x")
    return _svg(figure, text)


def diagonal(x: Vector, y: Vector, low: Vector, high: Vector, text: str) -> Markup:
    """Returns mean ratings beside mean predictions, with the line on which both are equal.

    Args:
        x: Mean prediction of each bin.
        y: Mean rating of each bin.
        low: First quartile of the ratings in the bin.
        high: Third quartile likewise.
        text: What the chart shows, for those who do not see it.
    """
    with _chart("predicted", "actual") as (figure, axes):
        axes.fill_between(x, low, high, color=ACCENT, alpha=0.15, linewidth=0)
        axes.plot(x, y, "o-", color=ACCENT, markersize=4, linewidth=1.6)
        ends = (min(x.min(), y.min()), max(x.max(), y.max()))
        axes.plot(ends, ends, color=MUTED, linewidth=1, linestyle="--")
        axes.grid()
    return _svg(figure, text)


@contextmanager
def _chart(
    x: str, y: str, size: tuple[float, float] = _SIZE, left: float = _LEFT
) -> Iterator[tuple[Figure, Axes]]:
    """Gives an empty chart.

    Args:
        x: Label of the horizontal axis.
        y: Label of the vertical axis.
        size: Width and height, in inches.
        left: Room for what is left of the axes, in points.
    """
    width, height = (_POINTS * side for side in size)
    inner_width, inner_height = width - left - _RIGHT, height - _TOP - _BOTTOM
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size)
        axes = figure.add_axes(
            (left / width, _BOTTOM / height, inner_width / width, inner_height / height)
        )
        axes.xaxis.set_label_coords(0.5, (_LABEL - _BOTTOM) / inner_height)
        axes.yaxis.set_label_coords((_LABEL - left) / inner_width, 0.5)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        for side in ("left", "bottom"):
            axes.spines[side].set_color(LINE)
        yield figure, axes


def _svg(figure: Figure, text: str) -> Markup:
    """Returns the SVG without what a page must not have twice, such as ids."""
    written = io.StringIO()
    # The salt keeps the ids of one chart apart from those of the next, and equal in every run.
    with mpl.rc_context({**_STYLE, "svg.hashsalt": text}):
        figure.patch.set_visible(False)
        for axes in figure.axes:
            axes.patch.set_visible(False)
        # `Figure.savefig` draws everything twice.
        canvas = FigureCanvasSVG(figure)
        canvas.print_svg(written, metadata={"Date": None})  # type: ignore[no-untyped-call]
    svg = written.getvalue()
    svg = svg[svg.index("<svg") :]
    for pattern in _REMOVED:
        svg = pattern.sub("", svg)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    for colour, name in _VARIABLES.items():
        svg = svg.replace(colour, f"var(--{name})")
    svg = re.sub(r"\n\s*", "\n", svg)
    return Markup(svg.replace("<svg", f'<svg role="img" aria-label="{escape(text)}"', 1))
