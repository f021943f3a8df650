"""A picture of jobs and tasks on a time axis, to scale: an SVG that is readable on light and dark pages. Pure."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from blocks.reporting.words import duration
from graphql_jobs import JobState

#: Our choice: the number of bars. More do not fit on a screen.
MAX_BARS = 40
_COLOURS = {
    JobState.PENDING: "#8a93a3",
    JobState.RUNNING: "#3b82f6",
    JobState.SUCCEEDED: "#22a06b",
    JobState.FAILED: "#e5484d",
    JobState.CANCELLED: "#c08a1e",
    JobState.UNKNOWN: "#8a93a3",
}
#: The colour of texts and lines: a contrast of about 4 with white and with black.
_GREY = "#7c8594"
_WIDTH, _LABELS, _DURATIONS, _ROW, _AXIS = 540, 160, 70, 24, 26
_MAX_LABEL = 22


class Bar(NamedTuple):
    """One job or task. Instants are epoch seconds."""

    label: str
    began_at: float
    ended_at: float
    state: JobState


def picture(bars: Sequence[Bar]) -> str:
    """Return the picture as an SVG, or an empty text if there is nothing to show."""
    shown = bars[:MAX_BARS]
    if not shown:
        return ""
    begin, end = min(bar.began_at for bar in shown), max(bar.ended_at for bar in shown)
    scale = (_WIDTH - _LABELS - _DURATIONS) / max(end - begin, 0.001)
    height = len(shown) * _ROW + _AXIS
    rows = [_row(number, bar, begin, scale) for number, bar in enumerate(shown)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" '
        f'font-family="ui-sans-serif, system-ui, sans-serif" font-size="12" fill="{_GREY}">'
        f"{''.join(rows)}{_axis(len(shown) * _ROW, end - begin, scale)}</svg>"
    )


def as_markdown(svg: str, words: str) -> str:
    """Return the picture as an image in Markdown, without a file or a request."""
    return f"![{words}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})" if svg else ""


def _row(number: int, bar: Bar, begin: float, scale: float) -> str:
    top, left = number * _ROW, _LABELS + (bar.began_at - begin) * scale
    width = max((bar.ended_at - bar.began_at) * scale, 2.0)
    label = bar.label if len(bar.label) <= _MAX_LABEL else f"{bar.label[: _MAX_LABEL - 1]}\u2026"
    took = duration(bar.ended_at - bar.began_at)
    return (
        f'<text x="{_LABELS - 8}" y="{top + 16}" text-anchor="end">{escape(label)}</text>'
        f'<rect x="{left:.1f}" y="{top + 5}" width="{width:.1f}" height="14" rx="3" fill="{_COLOURS[bar.state]}"/>'
        f'<text x="{left + width + 6:.1f}" y="{top + 16}">{took}</text>'
    )


def _axis(top: float, whole_s: float, scale: float) -> str:
    right = _LABELS + whole_s * scale
    return (
        f'<path d="M{_LABELS} {top + 4}H{right:.1f}" stroke="{_GREY}"/>'
        f'<text x="{_LABELS}" y="{top + 20}">0</text>'
        f'<text x="{right:.1f}" y="{top + 20}" text-anchor="middle">{duration(whole_s)}</text>'
    )
