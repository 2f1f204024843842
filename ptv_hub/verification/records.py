"""What ``verify`` found: checks, each with one verdict of a closed set, and what they add up to."""

from __future__ import annotations

from itertools import groupby
from typing import Literal, get_args

from pydantic import computed_field

from ptv_hub.pages import notebook
from ptv_hub.text import visible
from ptv_hub.zoo.records import Record

Level = Literal["spec", "file", "keys", "tensors", "numbers", "behaviour", "accuracy"]

LEVELS: tuple[Level, ...] = get_args(Level)

Verdict = Literal[
    "holds", "erratum", "as recorded here", "unknown", "not checked", "fails", "noted"
]

VERDICTS: dict[Verdict, str] = {
    "holds": "recomputed, and as claimed",
    "erratum": "the table's figure does not hold; the manifest says so, with the right one",
    "as recorded here": "as this machine recorded it before; nobody else vouches for it",
    "unknown": "nobody has said what it should be",
    "not checked": "not looked at; the note says why",
    "fails": "recomputed, and not as claimed",
    "noted": "shown for the reader, there is nothing to hold it against",
}
"""Every verdict and what it means."""

_WEAKEST_FIRST: tuple[Verdict, ...] = (
    *("fails", "not checked", "unknown", "as recorded here", "erratum", "holds"),
)


class Check(Record):
    """One claim, and what came of recomputing it."""

    level: Level
    name: str
    verdict: Verdict
    expected: str | None = None
    """``None`` where nobody has stated it."""
    found: str | None = None
    note: str | None = None
    """Who states what was expected, the tolerance, or why it was not checked."""


class VerifyReport(Record):
    """All checks on one entry. ``claim`` says in one line which kinds of claim held."""

    schema_version: Literal[1] = 1
    name: str
    dataset: str
    weights: str | None = None
    """The file; ``None`` where no weights were looked at."""
    origin: str | None = None
    """The address the file has in the manifest, or ``local file``."""
    digest: str | None = None
    """Of the tensors that were looked at."""
    caution: str | None = None
    """What a reader must know before all else: weights that were drawn and not trained, or a
    demonstration."""
    checks: tuple[Check, ...]
    unavailable: str | None = None
    """Why the weights could not be brought here; ``None`` where they were, or were not wanted."""
    environment: dict[str, str]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def holds(self) -> bool:
        """Whether no check fails. It does not mean that all were made: see ``levels``."""
        return all(check.verdict != "fails" for check in self.checks)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def levels(self) -> dict[Level, Verdict]:
        """Of each level the weakest verdict of its checks."""
        return {level: self._weakest(level) for level in LEVELS}

    @computed_field  # type: ignore[prop-decorator]
    @property
    def claim(self) -> str:
        """Which kinds of claim held, in one line; no more than that."""
        told = [(level, self._phrase(level)) for level in LEVELS]
        parts = [] if self.caution is None else [self.caution]
        for phrase, group in groupby(told, key=lambda pair: pair[1]):
            levels = [level for level, _ in group]
            verb = phrase if len(levels) == 1 else phrase.replace("holds", "hold", 1)
            parts.append(f"{', '.join(levels)}: {verb}")
        return "; ".join(parts)

    def __repr__(self) -> str:
        return visible(f"<VerifyReport {self.name}: {self.claim}>")

    __str__ = __repr__

    def _repr_html_(self) -> str:
        rows = [
            (c.level, c.name, c.expected or "-", c.found or "-", c.verdict) for c in self.checks
        ]
        columns = ("level", "check", "expected", "found", "verdict")
        return notebook.table(
            f"{self.name} ({self.dataset})", rows, columns=columns, notes=(self.claim,)
        )

    def checks_of(self, level: Level) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.level == level)

    def _weakest(self, level: Level) -> Verdict:
        verdicts = {check.verdict for check in self.checks_of(level)}
        return next((v for v in _WEAKEST_FIRST if v in verdicts), "not checked")

    def _phrase(self, level: Level) -> str:
        verdict = self._weakest(level)
        names = ", ".join(c.name for c in self.checks_of(level) if c.verdict == verdict)
        some_hold = any(c.verdict == "holds" for c in self.checks_of(level))
        also = "holds, but " if some_hold else ""
        return {
            "holds": "holds",
            "erratum": f"holds but for known errata of the table ({names})",
            "as recorded here": f"{also}{names} only as recorded here",
            "unknown": f"{also}nobody vouches for {names}",
            "not checked": "not checked" if not some_hold else f"{also}not checked: {names}",
            "fails": f"FAILS ({names})",
        }[verdict]
