"""Results as Markdown: sections of a table, goals and notes.

Belongs here: how a result is written. Does not belong here: any figure. Only the standard library
is imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


def seconds(value: float) -> str:
    """Seconds as text."""
    return f"{value:.1f} s"


def milliseconds(value: float) -> str:
    """Seconds as a text of milliseconds."""
    return f"{value * 1000:.1f} ms" if value < 0.1 else f"{value * 1000:.0f} ms"


def times(value: float) -> str:
    """A ratio as text."""
    return f"{value:.2f}x" if value < 10 else f"{value:.0f}x"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


@dataclass
class Section:
    """One question and its answer.

    Attributes:
        title: The question.
        text: What exactly was compared.
        head: The columns of the table.
        rows: Its rows.
        goals: What, measured, goal, verdict.
        notes: Further facts.
    """

    title: str
    text: str
    head: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    goals: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def row(self, *cells: str) -> None:
        """Add a row to the table."""
        self.rows.append(cells)

    def goal(self, what: str, measured: str, goal: str, *, met: bool) -> None:
        """Add a goal and whether it is met."""
        self.goals.append((what, measured, goal, "met" if met else "**missed**"))

    def note(self, text: str) -> None:
        """Add a fact below the table."""
        self.notes.append(text)

    def markdown(self) -> str:
        """The section as Markdown."""
        parts = [f"## {self.title}", self.text, table(self.head, self.rows)]
        if self.notes:
            parts.append("\n".join(f"- {note}" for note in self.notes))
        return "\n\n".join(parts)


def document(
    sections: Sequence[Section], machine: Mapping[str, str], circumstances: Sequence[str]
) -> str:
    """The whole document.

    Args:
        sections: What was measured.
        machine: The machine and the versions.
        circumstances: What else a reader has to know.
    """
    goals = [(section.title, *goal) for section in sections for goal in section.goals]
    parts = [
        "# Benchmark results",
        "Written by `make bench`; docs/reference/benchmarks.md says how to read it.",
        "## Goals",
        table(("section", "what", "measured", "goal", ""), goals),
        *(section.markdown() for section in sections),
        "## Measured on",
        table(("", ""), list(machine.items())),
        *circumstances,
    ]
    return "\n\n".join(parts) + "\n"
