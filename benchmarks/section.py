"""One part of the report: a table with its gates, notes and plots, for the terminal and for the documentation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from benchmarks.gates import Gate


@dataclass
class Section:
    """`name` marks its place in the documentation; `plots` are SVG texts by file name."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str
    gates: list[Gate] = field(default_factory=list)
    plots: dict[str, str] = field(default_factory=dict)

    def show(self, console: Console) -> None:
        """Print the table, the note and every gate."""
        table = Table(title=self.title, title_justify="left")
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="right" if number else "left", overflow="fold")
        for row in self.rows:
            table.add_row(*row)
        console.print(table)
        console.print(self.note, highlight=False, style="dim")
        for gate in self.gates:
            word = "[green]passed[/green]" if gate.passed else "[bold red]FAILED[/bold red]"
            console.print(f"  {word}  {gate.rule}: {gate.figure} (at most {gate.limit})", highlight=False)

    def markdown(self, conditions: str) -> str:
        """The same for the documentation."""
        lines = [_row(self.columns), _row(tuple("---" for _ in self.columns)), *map(_row, self.rows), "", self.note]
        if self.gates:
            lines += ["", _row(("gate", "figure", "at most", "")), _row(("---",) * 4)]
            lines += [_row((gate.rule, gate.figure, gate.limit, _word(gate))) for gate in self.gates]
        lines += [line for name in self.plots for line in ("", f"![{name}](benchmarks/{name})")]
        return "\n".join([*lines, "", conditions])

    def write(self, document: Path, conditions: str) -> None:
        """Put it between its markers in the document, and its plots beside it. Raises ValueError without markers."""
        text = document.read_text()
        begin, end = f"<!-- bench:{self.name} -->", f"<!-- /bench:{self.name} -->"
        before, found, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not found or not ended:
            raise ValueError(f"{document.name} has no place for {self.name}: {begin} ... {end}")
        document.write_text(f"{before}{begin}\n{self.markdown(conditions)}\n{end}{after}")
        folder = document.parent / document.stem
        folder.mkdir(exist_ok=True)
        for name, svg in self.plots.items():
            (folder / name).write_text(svg)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def _word(gate: Gate) -> str:
    return "passed" if gate.passed else "**failed**"
