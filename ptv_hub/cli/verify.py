"""``ptv-hub verify``: prove that a checkpoint is what it claims."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptv_hub.errors import UsageError

if TYPE_CHECKING:
    from ptv_hub.verification import VerifyReport


def register(app: typer.Typer) -> None:
    app.command()(verify)


def verify(
    name: Annotated[str | None, typer.Argument(help="Hub name, zoo name or config path.")] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="A local file, in place of the model's own."
        ),
    ] = None,
    spec: Annotated[bool, typer.Option("--spec", help="Only what needs no weights.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Every model of the manifests.")] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Keep the outputs, to compare with the next time.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Write Markdown to stdout.")] = False,
) -> None:
    """Recompute every claim about a model that can be recomputed, and say which kinds held.

    Exits with 3 when a check does not hold, with 1 when the weights could not be brought here.

    Examples:

        ptv-hub verify X3D_M

        ptv-hub verify X3D_M --weights X3D_M.pyth --markdown

        ptv-hub verify --all --spec
    """
    _check_usage(name, weights=weights, spec=spec, all_=all_, record=record)
    if json and markdown:
        raise UsageError("--json and --markdown contradict each other", fix="leave one out")
    from ptv_hub.hub import entry
    from ptv_hub.manifest import entries
    from ptv_hub.report import print_json
    from ptv_hub.report import verify as tables
    from ptv_hub.verification import verify as run

    items = entries() if name is None else (entry(name),)
    reports = []
    for number, item in enumerate(items, 1):
        if name is None:
            typer.echo(f"[{number}/{len(items)}] {item.name}", err=True)
        reports.append(run(item, weights=weights, spec_only=spec, record=record))
    for report in reports:
        if report.unavailable is not None:
            typer.echo(f"{report.name}: {report.unavailable}", err=True)
    if json:
        print_json(reports if name is None else reports[0])
    elif markdown and name is None:
        typer.echo(tables.summary_markdown(reports))
    elif markdown:
        typer.echo(tables.markdown(reports[0]))
    elif name is not None:
        tables.print_report(reports[0])
    elif spec:
        tables.print_spec(reports)
    else:
        tables.print_summary(reports)
    raise typer.Exit(_exit_code(reports))


def _check_usage(
    name: str | None, *, weights: Path | None, spec: bool, all_: bool, record: bool
) -> None:
    if (name is None) != all_:
        raise UsageError(
            "say which model to verify"
            if name is None
            else "--all is every model, and one is named",
            expected="the name of a model, or --all",
            fix="'ptv-hub list' shows the names",
        )
    if weights is not None and all_:
        raise UsageError("--weights is the file of one model, and --all is every model")
    if spec and (weights is not None or record):
        other = "--record" if weights is None else "--weights"
        raise UsageError(f"--spec looks at no weights: it contradicts {other}")


def _exit_code(reports: list[VerifyReport]) -> int:
    if not all(report.holds for report in reports):
        return 3
    return 1 if any(report.unavailable for report in reports) else 0
