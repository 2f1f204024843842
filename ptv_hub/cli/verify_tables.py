"""Verify reports -> terminal tables and Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ptv_hub import markdown as md
from ptv_hub.cli.tables import console, print_table
from ptv_hub.text import visible
from ptv_hub.verification.records import LEVELS, VERDICTS, Check, Verdict, VerifyReport

if TYPE_CHECKING:
    from rich.text import Text

_STYLES: dict[Verdict, str] = {
    "holds": "green",
    "erratum": "cyan",
    "as recorded here": "cyan",
    "unknown": "yellow",
    "not checked": "dim",
    "fails": "bold red",
    "noted": "dim",
}

_SHORT: dict[Verdict, str] = {
    "holds": "ok",
    "erratum": "ok*",
    "as recorded here": "here",
    "unknown": "?",
    "not checked": "-",
    "fails": "FAILS",
}
"""For the table of many entries: a verdict in the width of a column."""

_WIDTH = 120
"""Of a pipe: as wide as a log is read; --json and --markdown fold nothing."""

_LEGEND = (
    "ok: as claimed; ok*: but for a known erratum of the table; here: as this machine recorded\n"
    "it; ?: nobody vouches for it; -: not checked"
)


def print_report(report: VerifyReport) -> None:
    """One entry: what it adds up to, a row for each check, and the notes below."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    table.add_column("level", no_wrap=True)
    table.add_column("check", max_width=18)
    table.add_column("expected", overflow="fold", ratio=1)
    table.add_column("found", overflow="fold", ratio=1)
    table.add_column("verdict", max_width=11)
    before = None
    for check in report.checks:
        if before not in (None, check.level):
            table.add_section()
        table.add_row(
            _text("" if check.level == before else check.level),
            _text(check.name),
            _text(_cell(check.expected)),
            _text(_found(check)),
            _text(check.verdict, style=_STYLES[check.verdict]),
        )
        before = check.level
    out = console(width_in_a_pipe=_WIDTH)
    out.print(_text(f"{report.name} ({report.dataset})", style="bold"), soft_wrap=True)
    # First of all what it adds up to, on one line however long it is.
    verdict = "no check fails" if report.holds else "FAILS"
    style = "bold" if report.holds else "bold red"
    out.print(_text(f"{verdict}; {report.claim}", style=style), soft_wrap=True)
    if report.weights is not None:
        out.print(_text(f"{report.weights} ({report.origin})"), soft_wrap=True)
    out.print(table)
    for note, checks in _notes(report).items():
        told = ", ".join(f"{check.level} ({check.name})" for check in checks)
        out.print(_text(f"{told}: {note}"))


def _text(line: str, style: str = "") -> Text:
    """A line of text, whoever wrote what is in it."""
    from rich.text import Text

    return Text(visible(line), style=style)


def _notes(report: VerifyReport) -> dict[str, list[Check]]:
    """The notes on all that does not plainly hold, each with the checks it belongs to."""
    notes: dict[str, list[Check]] = {}
    for check in report.checks:
        if check.note is not None and check.verdict not in ("holds", "noted"):
            notes.setdefault(check.note, []).append(check)
    return notes


def _cell(text: str | None) -> str:
    """Hashes and addresses cut to what tells them apart; --json has them whole."""
    text = re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1...", text or "-")
    return re.sub(r"https?://\S+/([^/\s]+/[^/\s]+/[^/\s]+)", r".../\1", text)


def _found(check: Check) -> str:
    if check.found is not None and check.found == check.expected and len(check.found) > 24:
        return "the same"
    return _cell(check.found)


def print_summary(reports: Sequence[VerifyReport]) -> None:
    """Many entries: a line each with its levels, then what fails and what could not be had."""
    rows = [
        [report.name, *(_SHORT[report.levels[level]] for level in LEVELS)] for report in reports
    ]
    print_table(["name", *LEVELS], rows)
    out = console(width_in_a_pipe=_WIDTH)
    out.print(_LEGEND)
    for line in _failures(reports):
        out.print(_text(line, style=_STYLES["fails"]))


def _failures(reports: Sequence[VerifyReport]) -> list[str]:
    return [
        f"{report.name}: {check.level}, {check.name}: expected {_cell(check.expected)},"
        f" found {_cell(check.found)}" + (f" ({check.note})" if check.note else "")
        for report in reports
        for check in report.checks
        if check.verdict == "fails"
    ]


_SPEC_COLUMNS = ("params, M", "counted", "GFLOPs", "counted ", "eval mode")


def print_spec(reports: Sequence[VerifyReport]) -> None:
    """Many entries, of which only what needs no weights was checked: the figures themselves."""
    print_table(
        ["name", *_SPEC_COLUMNS, "verdict"],
        [_spec_row(report) for report in reports],
        right=_SPEC_COLUMNS,
    )
    out = console(width_in_a_pipe=_WIDTH)
    out.print(
        "params, M and GFLOPs as printed in the table; counted: multiply-adds of one view + 5 for\n"
        "each element into a batch norm, as the table counts; eval mode: + 2, as fvcore counts"
    )
    for report in reports:
        for check in report.checks:
            if check.verdict == "erratum":
                told = f"printed {_cell(check.expected)}, found {_cell(check.found)}"
                out.print(_text(f"erratum, {report.name}: {check.name}: {told}"))
    for line in _failures(reports):
        out.print(_text(line, style=_STYLES["fails"]))


def _spec_row(report: VerifyReport) -> list[str]:
    checks = {check.name: check for check in report.checks}
    params, gflops = checks["parameters, M"], checks["GFLOPs"]
    verdict = report.levels["spec"]
    weak = ", ".join(c.name for c in report.checks if c.verdict == verdict)
    return [
        report.name,
        params.expected or "-",
        params.found or "-",
        gflops.expected or "-",
        gflops.found or "-",
        checks["GFLOPs, eval mode"].found or "-",
        verdict if verdict == "holds" else f"{verdict}: {weak}",
    ]


def markdown(report: VerifyReport) -> str:
    """One entry as Markdown, nothing cut short."""
    head = ["level", "check", "expected", "found", "verdict", "note"]
    rows = [
        [
            *(c.level, c.name, c.expected or "-", c.found or "-"),
            *(md.Markdown(f"**{c.verdict}**"), c.note or ""),
        ]
        for c in report.checks
    ]
    about = ", ".join(f"{name} {value}" for name, value in report.environment.items())
    used = {check.verdict for check in report.checks}
    meanings = [f"- **{name}**: {what}" for name, what in VERDICTS.items() if name in used]
    parts = [f"## {md.text(f'{report.name} ({report.dataset})')}", f"{md.text(report.claim)}."]
    if report.weights is not None:
        parts.append(f"Weights: {md.code(report.weights)} ({md.text(report.origin or '')}).")
    made = f"Made with {md.text(about)}."
    return "\n\n".join([*parts, md.table(head, rows), "\n".join(meanings), made])


def summary_markdown(reports: Sequence[VerifyReport]) -> str:
    """Many entries as one Markdown table, and the claim of each."""
    rows = [[md.code(r.name), *(r.levels[level] for level in LEVELS)] for r in reports]
    claims = "\n".join(f"- {md.code(r.name)}: {md.text(r.claim)}" for r in reports)
    return f"{md.table(['name', *LEVELS], rows)}\n\n{claims}"
