"""The quality report: what was read, kept, dropped and why, with examples and row numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

#: `dropped`: the record was left out. `flagged`: kept as it is, but doubtful. `mended`: kept after a correction.
#: `note`: a fact about the whole, which counts no record twice.
#: `hidden`: kept and never shown. `joined`: a row that is part of another's product.
Outcome = Literal["dropped", "hidden", "joined", "flagged", "mended", "note"]
Progress = Callable[[int, int, str], None]  # done, total (0 when unknown), what is being done

EXAMPLES = 5  # kept of each kind
EXAMPLE_LENGTH = 160


@dataclass(frozen=True, slots=True)
class Issue:
    """One kind of finding. `examples` are (line, text); line is 1-based, 0 where there is none."""

    kind: str
    count: int
    outcome: Outcome
    explanation: str = ""
    examples: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class QualityReport:
    """read = kept + dropped. `flagged` counts kept records that carry at least one flag.

    `facts` are plain figures about the whole: time range, counts a type, tables stored. `loads`: what was said of the
    files when they were loaded, newest first; only of a report of the record itself.
    """

    source: str
    read: int = 0
    kept: int = 0
    dropped: int = 0
    flagged: int = 0
    issues: tuple[Issue, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    loads: tuple[QualityReport, ...] = ()

    @property
    def hidden(self) -> int:
        """Records kept that shoppers never see."""
        return sum(issue.count for issue in self.issues if issue.outcome == "hidden")

    @property
    def joined(self) -> int:
        """Rows that are part of another row's product; not among those read."""
        return sum(issue.count for issue in self.issues if issue.outcome == "joined")

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, texts and numbers, ready for any JSON writer."""
        return {
            "source": self.source,
            "read": self.read,
            "kept": self.kept,
            "dropped": self.dropped,
            "flagged": self.flagged,
            "hidden": self.hidden,
            "joined": self.joined,
            "issues": [
                {
                    "kind": issue.kind,
                    "outcome": issue.outcome,
                    "count": issue.count,
                    "explanation": issue.explanation,
                    "examples": [{"line": line, "text": text} for line, text in issue.examples],
                }
                for issue in self.issues
            ],
            "facts": self.facts,
            **({"loads": [load.to_json() for load in self.loads]} if self.loads else {}),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> QualityReport:
        issues = tuple(
            Issue(**{**issue, "examples": tuple((one["line"], one["text"]) for one in issue["examples"])})
            for issue in fields["issues"]
        )
        loads = tuple(cls.from_json(load) for load in fields.get("loads", ()))
        own = {name: value for name, value in fields.items() if name not in ("hidden", "joined")}
        return cls(**{**own, "issues": issues, "loads": loads})

    def write(self, folder: Path, name: str = "quality") -> None:
        """name.md and name.json in `folder`, which is made when absent."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.md").write_text(self.to_markdown(), "utf-8")
        text = json.dumps(self.to_json(), ensure_ascii=False, indent=2, default=str)
        part = folder / f"{name}.part"
        part.write_text(text + "\n", "utf-8")
        part.replace(folder / f"{name}.json")  # whole, or not there

    def to_markdown(self) -> str:
        return "\n".join([self._markdown("Quality of"), *(load._markdown("Loaded:") for load in self.loads)])

    def _markdown(self, title: str) -> str:
        lines = [
            f"# {title} {_cell(self.source)}",
            "",
            "| read | kept | dropped | flagged |",
            "|---:|---:|---:|---:|",
            f"| {self.read:,} | {self.kept:,} | {self.dropped:,} | {self.flagged:,} |",
            "",
        ]
        if self.facts:
            lines += ["| figure | value |", "|---|---|"]
            lines += [f"| {_cell(str(name))} | {_cell(_shown(value))} |" for name, value in self.facts.items()]
            lines.append("")
        if not self.issues:
            return "\n".join([*lines, "Nothing to report.", ""])
        lines += ["| what | records | outcome | why | for example |", "|---|---:|---|---|---|"]
        for issue in self.issues:
            shown = "; ".join(f"line {line}: {text}" if line else text for line, text in issue.examples[:3])
            lines.append(
                f"| {issue.kind} | {issue.count:,} | {issue.outcome} | {_cell(issue.explanation)} | {_cell(shown)} |"
            )
        return "\n".join([*lines, ""])


class Findings:
    """Gathers issues while a file streams by; `report` closes it."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.read = 0
        self.flagged = 0
        self.facts: dict[str, Any] = {}
        self._counts: dict[str, int] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._explanations: dict[str, str] = {}
        self._examples: dict[str, list[tuple[int, str]]] = {}

    def add(
        self,
        kind: str,
        outcome: Outcome,
        explanation: str,
        examples: Iterable[tuple[int, str]] = (),
        *,
        count: int = 1,
    ) -> None:
        if count <= 0:
            return
        self._counts[kind] = self._counts.get(kind, 0) + count
        self._outcomes.setdefault(kind, outcome)
        self._explanations.setdefault(kind, explanation)
        kept = self._examples.setdefault(kind, [])
        for line, text in examples:
            if len(kept) >= EXAMPLES:
                break
            kept.append((int(line), _short(text)))

    def add_rows(self, kind: str, outcome: Outcome, explanation: str, rows: pl.DataFrame, *shown: str) -> None:
        """One finding a row of `rows`, which has a `line`; the columns `shown` make the examples."""
        if rows.height:
            head = rows.head(EXAMPLES).select("line", *shown).iter_rows()
            examples = [(int(line), ", ".join("" if v is None else str(v) for v in values)) for line, *values in head]
            self.add(kind, outcome, explanation, examples, count=rows.height)

    def count(self, outcome: Outcome) -> int:
        return sum(count for kind, count in self._counts.items() if self._outcomes[kind] == outcome)

    def first(self, outcome: Outcome) -> str:
        """The first example of the commonest issue with this outcome, for a message."""
        kinds = [kind for kind in self._counts if self._outcomes[kind] == outcome]
        if not kinds:
            return ""
        kind = max(kinds, key=self._counts.__getitem__)
        line, text = (self._examples[kind] or [(0, "")])[0]
        return f"{self._explanations[kind]}" + (f" (line {line}: {text})" if line else "")

    def report(self) -> QualityReport:
        dropped = self.count("dropped")
        order: dict[Outcome, int] = {"dropped": 0, "hidden": 1, "flagged": 2, "mended": 3, "joined": 4, "note": 5}
        kinds = sorted(self._counts, key=lambda kind: (order[self._outcomes[kind]], -self._counts[kind]))
        return QualityReport(
            source=self.source,
            read=self.read,
            kept=self.read - dropped,
            dropped=dropped,
            flagged=self.flagged,
            issues=tuple(
                Issue(
                    kind,
                    self._counts[kind],
                    self._outcomes[kind],
                    self._explanations[kind],
                    tuple(self._examples[kind]),
                )
                for kind in kinds
            ),
            facts=dict(self.facts),
        )


def _short(text: str) -> str:
    shown = "".join(c if c.isprintable() else "·" for c in text[: EXAMPLE_LENGTH + 1])
    return shown if len(shown) <= EXAMPLE_LENGTH else shown[: EXAMPLE_LENGTH - 1] + "…"


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_shown(part)}" for name, part in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
