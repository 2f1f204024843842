"""``ptv-hub verify``: prove that a checkpoint is what it claims."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptv_hub.cli.options import (
    All,
    ConfigFile,
    Demo,
    Json,
    Name,
    Opts,
    ValidationSet,
    Videos,
    Weights,
)
from ptv_hub.cli.talk import put_document, tell, tell_lines
from ptv_hub.cli.which_model import asked
from ptv_hub.errors import UsageError

if TYPE_CHECKING:
    from ptv_hub.verification.records import VerifyReport


def register(app: typer.Typer) -> None:
    app.command()(verify)


def verify(
    name: Name = None,
    opts: Opts = None,
    config: ConfigFile = None,
    weights: Weights = None,
    spec: Annotated[bool, typer.Option("--spec", help="Only what needs no weights.")] = False,
    all_: All = False,
    demo: Demo = False,
    record: Annotated[
        bool, typer.Option("--record", help="Keep the outputs, to compare with the next time.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Measure the accuracy: folder of the annotation files; of motion_x3d: drawn."
        ),
    ] = None,
    videos: Videos = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the journal of --data; eval-NAME if not given.")
    ] = None,
    validation_set: ValidationSet = False,
    json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Write Markdown to stdout.")] = False,
) -> None:
    """Recompute every claim about a model that can be recomputed, and say which kinds held.

    Exits with 3 when a check does not hold, with 1 when the weights could not be brought here.

    Examples:

        ptv-hub verify X3D_M

        ptv-hub verify X3D_M --weights X3D_M.pyth --markdown

        ptv-hub verify X3D_M --data kinetics400 --videos kinetics400/val

        ptv-hub verify run/best.pyth

        ptv-hub verify --all --spec

        ptv-hub verify motion_x3d --data drawn
    """
    one = name is not None or config is not None
    _check_usage(one, weights=weights, spec=spec, all_=all_, record=record)
    _check_data(data, videos=videos, out=out, spec=spec, all_=all_)
    if json and markdown:
        raise UsageError("--json and --markdown contradict each other", fix="leave one out")
    from ptv_hub.cli import verify_tables as tables
    from ptv_hub.cli.tables import print_json
    from ptv_hub.verification.accuracy import Data
    from ptv_hub.verification.walk import verify as run
    from ptv_hub.zoo.manifest import all_entries, known
    from ptv_hub.zoo.names import file_name

    items, file = known() if demo else all_entries(), None
    if one:
        wanted = asked(name, opts, config=config, weights=weights, needs_weights=not spec)
        items, file = (wanted.entry,), wanted.weights
    reports = []
    for number, item in enumerate(items, 1):
        if not one:
            tell(f"[{number}/{len(items)}] {item.name}")
        measured = None
        if data is not None:
            folder = out or Path(f"eval-{file_name(item.name)}")
            cores = max(1, (os.cpu_count() or 2) // 2)
            measured = Data(data, videos, folder, cores, validation_set)
        reports.append(run(item, weights=file, spec_only=spec, record=record, data=measured))
    for report in reports:
        if report.unavailable is not None:
            tell_lines(f"{report.name}: {report.unavailable}")
    if json:
        print_json(reports[0] if one else reports)
    elif markdown and not one:
        put_document(tables.summary_markdown(reports))
    elif markdown:
        put_document(tables.markdown(reports[0]))
    elif one:
        tables.print_report(reports[0])
    elif spec:
        tables.print_spec(reports)
    else:
        tables.print_summary(reports)
    raise typer.Exit(_exit_code(reports))


def _check_usage(one: bool, *, weights: str | None, spec: bool, all_: bool, record: bool) -> None:
    if one == all_:
        raise UsageError(
            "--all is every model, and one is named" if one else "say which model to verify",
            expected="the name of a model, or --all",
            fix="'ptv-hub list' shows the names",
        )
    if weights is not None and all_:
        raise UsageError("--weights is the file of one model, and --all is every model")
    if spec and (weights is not None or record):
        other = "--record" if weights is None else "--weights"
        raise UsageError(f"--spec looks at no weights: it contradicts {other}")


def _check_data(
    data: Path | None, *, videos: Path | None, out: Path | None, spec: bool, all_: bool
) -> None:
    if data is None and (videos is not None or out is not None):
        raise UsageError("--videos and --out belong to --data", fix="give --data DIR")
    if data is not None and (spec or all_):
        other = "--spec" if spec else "--all"
        raise UsageError(f"--data measures one model with its weights: it contradicts {other}")


def _exit_code(reports: list[VerifyReport]) -> int:
    if not all(report.holds for report in reports):
        return 3
    return 1 if any(report.unavailable for report in reports) else 0
