"""Line charts as SVG, by hand: no plotting package has to be installed for three of them."""

from __future__ import annotations

from html import escape
from math import log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 720, 400, 70, 50, 40, 190
#: Colours that stay apart for most colour-blind readers (Okabe and Ito).
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
_TICKS = 5


def line_chart(
    title: str, x_label: str, y_label: str, series: Mapping[str, Sequence[tuple[float, float]]], *, logarithmic: bool
) -> str:
    """One line per series; with `logarithmic`, both axes are, and points at 0 are left out."""
    drawn = {
        name: [(_scaled(x, logarithmic), _scaled(y, logarithmic)) for x, y in points if not logarithmic or x * y > 0]
        for name, points in series.items()
    }
    xs = [x for points in drawn.values() for x, _ in points]
    ys = [y for points in drawn.values() for _, y in points]
    if not xs:
        raise ValueError("nothing to draw")
    x_axis = _Axis(0 if not logarithmic else min(xs), max(xs), _LEFT, _WIDTH - _RIGHT)
    y_axis = _Axis(0 if not logarithmic else min(ys), max(ys), _HEIGHT - _BOTTOM, _TOP)
    parts = [_text(_LEFT, 20, title, "start", 15), _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 10, x_label)]
    parts += [f'<g transform="rotate(-90 15 {_HEIGHT / 2})">{_text(15, _HEIGHT / 2, y_label)}</g>']
    parts += [_grid(x_axis, y_axis, logarithmic)]
    for number, (name, points) in enumerate(drawn.items()):
        parts.append(_line(name, points, number, x_axis, y_axis))
    size = f'width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    body = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">\n' + (
        f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


class _Axis:
    """From a value to a place."""

    def __init__(self, low: float, high: float, first: float, last: float) -> None:
        self.low, self.high = low, high if high > low else low + 1
        self._first, self._last = first, last

    def at(self, value: float) -> float:
        return self._first + (value - self.low) / (self.high - self.low) * (self._last - self._first)

    def ticks(self) -> list[float]:
        return [self.low + (self.high - self.low) * step / _TICKS for step in range(_TICKS + 1)]


def _scaled(value: float, logarithmic: bool) -> float:
    return log10(value) if logarithmic else value


def _grid(x_axis: _Axis, y_axis: _Axis, logarithmic: bool) -> str:
    parts = []
    for value in x_axis.ticks():
        x = x_axis.at(value)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" stroke="#ddd"/>')
        parts.append(_text(x, _HEIGHT - _BOTTOM + 18, _label(value, logarithmic)))
    for value in y_axis.ticks():
        y = y_axis.at(value)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(_text(_LEFT - 6, y + 4, _label(value, logarithmic), "end"))
    return "\n".join(parts)


def _line(name: str, points: list[tuple[float, float]], number: int, x_axis: _Axis, y_axis: _Axis) -> str:
    colour = _COLOURS[number % len(_COLOURS)]
    places = " ".join(f"{x_axis.at(x):.1f},{y_axis.at(y):.1f}" for x, y in points)
    y = _TOP + 10 + 20 * number
    x = _WIDTH - _RIGHT + 12
    return (
        f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"/>\n'
        f'<line x1="{x}" x2="{x + 18}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="3"/>\n'
        + _text(x + 24, y + 4, name, "start")
    )


def _text(x: float, y: float, words: str, anchor: str = "middle", size: int = 11) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(words)}</text>'


def _label(value: float, logarithmic: bool) -> str:
    return f"{10**value:,.3g}" if logarithmic else f"{value:,.3g}"
