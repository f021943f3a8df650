"""Gates, tables and plots, for the terminal and for the documentation."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from math import log10
from pathlib import Path
from typing import Any, NamedTuple

_WRONG = ("missed", "doubled", "false_failed", "early", "unbounded", "strange")
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 530, 40, 350
#: Colours that most colour-blind readers can tell apart (Okabe and Ito).
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")

_Series = Mapping[str, Sequence[tuple[float, float]]]


class Gate(NamedTuple):
    """A rule that must hold. `figure` and `limit` are shown unchanged."""

    rule: str
    figure: str
    limit: str
    passed: bool


def at_most(rule: str, figure: float | None, limit: float, unit: str = "") -> Gate:
    """Holds if there is a figure and it is not above the limit."""
    shown = "not measured" if figure is None else f"{figure:.4g}{unit}"
    return Gate(rule, shown, f"{limit:g}{unit}", figure is not None and figure <= limit)


def no_wrong_ends(rule: str, result: Any) -> Gate:
    """Holds if the contestant finished and no end was missed, doubled, false, early, unbounded or made up."""
    wrong = [f"{result.verdict[name]:,} {name.replace('_', '-')}" for name in _WRONG if result.verdict[name]]
    wrong += [result.failure] if result.failure else []
    return Gate(rule, ", ".join(wrong) or "none", "none", not wrong)


def number(value: float | None, digits: int = 2) -> str:
    """The text of a cell; a dash for a figure that was not measured."""
    return "-" if value is None else f"{value:,.{digits}f}"


@dataclass
class Section:
    """One part of the report; `plots` are SVG texts by file name."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str
    gates: list[Gate] = field(default_factory=list)
    plots: dict[str, str] = field(default_factory=dict)

    def markdown(self, conditions: str) -> str:
        """The table, the note, the gates, the plots and the conditions."""
        found = [(*gate[:3], "passed" if gate.passed else "**failed**") for gate in self.gates]
        gates = _table(("gate", "figure", "at most", ""), found)
        plots = "".join(f"![{name}](benchmarks/{name})\n\n" for name in self.plots)
        return f"{_table(self.columns, self.rows)}\n{self.note}\n\n{gates}\n{plots}{conditions}\n"

    def write(self, name: str, page: Path, conditions: str) -> None:
        """Put it between the comments of that name in the page, and its plots into a folder next to the page."""
        begin, end = f"<!-- bench:{name} -->\n", f"<!-- /bench:{name} -->"
        between = re.compile(f"{begin}.*?{end}", re.DOTALL)
        if not between.search(text := page.read_text()):
            raise ValueError(f"{page.name} has no {begin.strip()} ... {end}")
        page.write_text(between.sub(lambda _: begin + self.markdown(conditions) + end, text))
        for file, svg in self.plots.items():
            (page.parent / "benchmarks" / file).write_text(svg)


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    cells = [columns, ("---",) * len(columns), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |\n" for row in cells)


def line_chart(title: str, x_label: str, series: _Series, *, logarithmic: bool = False) -> str:
    """One line per series. With `logarithmic` both axes are; then all values must be above 0."""
    scale: Callable[[float], float] = log10 if logarithmic else float
    drawn = {name: [(scale(x), scale(y)) for x, y in points] for name, points in series.items()}
    every = [point for points in drawn.values() for point in points]
    x_at, x_ticks = _axis([x for x, _ in every], _LEFT, _RIGHT)
    y_at, y_ticks = _axis([y for _, y in every], _BOTTOM, _TOP)
    parts = [_text(_LEFT, 20, title, "start"), _text((_LEFT + _RIGHT) / 2, _BOTTOM + 40, x_label)]
    for x, y in zip(x_ticks, y_ticks, strict=True):
        words = [f"{10**value if logarithmic else value:,.3g}" for value in (x, y)]
        parts.append(f'<path d="M{x_at(x):.1f} {_TOP}V{_BOTTOM}M{_LEFT} {y_at(y):.1f}H{_RIGHT}" stroke="#ddd"/>')
        parts += [_text(x_at(x), _BOTTOM + 18, words[0]), _text(_LEFT - 6, y_at(y) + 4, words[1], "end")]
    for number, ((name, points), colour) in enumerate(zip(drawn.items(), _COLOURS, strict=False)):
        line = " ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(_text(_RIGHT + 12, _TOP + 10 + 20 * number, name, "start", colour))
    body = "\n".join(['<rect width="100%" height="100%" fill="white"/>', *parts])
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 400" font-family="sans-serif">\n{body}\n</svg>\n'


def _axis(values: list[float], first: float, last: float) -> tuple[Callable[[float], float], list[float]]:
    """From a value to its coordinate, and six values to label."""
    low, span = min(values), (max(values) - min(values)) or 1.0
    return lambda value: first + (value - low) / span * (last - first), [low + span * step / 5 for step in range(6)]


def _text(x: float, y: float, words: str, anchor: str = "middle", colour: str = "black") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="11" fill="{colour}">{escape(words)}</text>'
