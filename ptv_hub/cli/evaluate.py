"""``ptv-hub eval``: reproduce the published numbers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptv_hub.cli.loading import calibration_of, fastest_of, load_on
from ptv_hub.cli.options import (
    ADVANCED,
    AnyWeights,
    Backend,
    Calibrate,
    CalibrateSeed,
    CalibrateViews,
    ClipSampling,
    ConfigFile,
    Device,
    Dtype,
    Fastest,
    Json,
    Limit,
    Name,
    OptionalData,
    Opts,
    Preprocess,
    Strict,
    ValidationSet,
    Videos,
    Views,
    Weights,
    Within,
    part,
)
from ptv_hub.cli.tables import print_json, print_table
from ptv_hub.cli.talk import tell
from ptv_hub.cli.which_model import asked
from ptv_hub.errors import ConfigError, UsageError
from ptv_hub.files import ready_folder

if TYPE_CHECKING:
    from ptv_hub.evaluation.result import EvalResult


def register(app: typer.Typer) -> None:
    app.command("eval")(evaluate)


def evaluate(
    name: Name = None,
    opts: Opts = None,
    config: ConfigFile = None,
    data: OptionalData = None,
    videos: Videos = None,
    weights: Weights = None,
    any_weights: AnyWeights = False,
    views: Views = None,
    clip_sampling: ClipSampling = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the journal and the reports; eval-NAME if not given."),
    ] = None,
    batch_views: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Views of a video at once; one clip's if not given.",
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Decoding processes; half of the cores if not given.",
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    device: Device = "auto",
    backend: Backend = None,
    dtype: Dtype = "fp32",
    fastest: Fastest = False,
    within: Within = None,
    preprocess: Preprocess = "host",
    calibrate: Calibrate = None,
    calibrate_views: CalibrateViews = 64,
    calibrate_seed: CalibrateSeed = 0,
    limit: Limit = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Only N videos, drawn at random.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of --sample.", rich_help_panel=ADVANCED)] = 0,
    validation_set: ValidationSet = False,
    keep_views: Annotated[
        bool,
        typer.Option(
            "--keep-views", help="Also keep the scores of each view.", rich_help_panel=ADVANCED
        ),
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Only write the report of this folder's journals.")
    ] = None,
    merge: Annotated[
        list[Path] | None,
        typer.Option(
            help="Only join the journals of this folder, and of others, into --out.",
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            help="Only hold one run against another over the same videos; --out for a page.",
            metavar="RUN_A RUN_B",
        ),
    ] = None,
    strict: Strict = False,
    json: Json = False,
) -> None:
    """Score a data set by the published protocol, and compare with the published numbers.

    Every video is kept as soon as it is scored: the same command goes on where it was
    interrupted. Under torchrun the ranks share the work. Videos that fail are listed in the
    report, with the number that counts them as wrong.

    Examples:

        ptv-hub eval X3D_M --data kinetics400 --videos kinetics400/val

        ptv-hub eval slowfast_r50_ssv2 --data ssv2 --sample 500

        torchrun --nproc-per-node 8 -m ptv_hub eval X3D_L --data kinetics400 --out runs/x3d_l

        ptv-hub eval --config X3D_M.yaml DATA.PATH_TO_DATA_DIR kinetics400 TEST.NUM_SPATIAL_CROPS 1

        ptv-hub eval --report runs/x3d_l

        ptv-hub eval --merge node0 --merge node1 --out joined

        ptv-hub eval --compare runs/before runs/after --out changes
    """
    if compare is not None:
        _no_run(name, config, data)
        _compared(*compare, out, json)
        return
    if report is not None or merge:
        _no_run(name, config, data)
        result = _reported(report) if report is not None else _merged(merge or [], out)
        _print(result, json)
        raise typer.Exit(int(strict and result.failed))
    if config is None and (name is None or data is None):
        raise UsageError(
            "nothing to evaluate",
            expected="NAME and --data DIR, or --config X.yaml",
            fix="ptv-hub eval --help",
        )
    from ptv_hub.datasets.reading import read_listing
    from ptv_hub.engines.machine import Machine
    from ptv_hub.engines.optimized import CLOSE
    from ptv_hub.evaluation.loop import evaluate as run
    from ptv_hub.evaluation.report_page import write_report
    from ptv_hub.inference.predict import protocol_for
    from ptv_hub.zoo.names import file_name

    wanted = asked(name, opts, config=config, weights=weights)
    item, data, videos = wanted.entry, data or wanted.data, videos or wanted.videos
    if data is None:
        raise ConfigError(
            "the config names no data",
            where=config,
            expected="DATA.PATH_TO_DATA_DIR",
            fix="--data DIR, or add: DATA.PATH_TO_DATA_DIR DIR",
        )
    protocol = protocol_for(wanted.to_run, views, clip_sampling)
    listing = part(read_listing(item, data, videos=videos), limit, sample, seed)
    for note in listing.notes:
        tell(f"note: {note}")
    folder = out or Path(f"eval-{file_name(item.name)}")
    ready_folder(folder)
    calibration = calibration_of(
        wanted, dtype, calibrate, views=calibrate_views, seed=calibrate_seed
    )
    machine = Machine(
        device=device,
        backend=fastest_of(fastest, backend, within),
        dtype=dtype,
        calibration=calibration,
        within=CLOSE if within is None else within,
    )
    model = load_on(machine, item, wanted.weights, any_weights=any_weights)
    try:
        found = run(
            model,
            listing,
            protocol,
            out=folder,
            batch_views=batch_views,
            workers=_workers(preprocess) if workers is None else workers,
            dtype=getattr(model, "dtype", dtype),
            keep_views=keep_views,
            validation_set=validation_set,
            preprocess=preprocess,
            progress=True,
        )
    except KeyboardInterrupt:
        tell("stopped; the same command goes on where it was")
        raise typer.Exit(1) from None
    if found is None:  # another rank than the first: that one reports
        return
    write_report(found, folder, {item.id: item.source for item in listing.items})
    tell(f"written to {folder}: report.html, report.md, result.json, scores.npz")
    _print(found, json)
    raise typer.Exit(int(strict and found.failed))


def _workers(preprocess: str) -> int:
    """Decoding processes if none are asked for; on a GPU the model's own decodes."""
    return 0 if preprocess == "nvdec" else max(1, (os.cpu_count() or 2) // 2)


def _no_run(name: str | None, config: Path | None, data: Path | None) -> None:
    if name is not None or config is not None or data is not None:
        raise UsageError(
            "--report, --merge and --compare need no model and no data: all is in the journals",
            fix="leave NAME, --config and --data out",
        )


def _print(result: EvalResult, json: bool) -> None:
    if json:
        print_json(result)
    else:
        _print_tables(result)


def _reported(folder: Path) -> EvalResult:
    """The report of a folder's journals, written beside them."""
    from contextlib import ExitStack

    from ptv_hub.evaluation.collected import collect
    from ptv_hub.evaluation.loop import finish
    from ptv_hub.evaluation.report_page import write_report

    with ExitStack() as stack:
        result = finish(folder, collect([folder], stack))
    write_report(result, folder)
    return result


def _merged(folders: list[Path], out: Path | None) -> EvalResult:
    from ptv_hub.evaluation.merging import merge
    from ptv_hub.evaluation.report_page import write_report

    if out is None:
        raise UsageError("--merge needs a folder to write to", fix="--out DIR")
    result = merge(folders, out)
    write_report(result, out)
    return result


def _compared(first: Path, second: Path, out: Path | None, json: bool) -> None:
    from ptv_hub.evaluation import comparison_words
    from ptv_hub.evaluation.comparing import compare

    if out is not None:
        ready_folder(out)
    found = compare(first, second)
    if out is not None:
        comparison_words.write_comparison(found, out)
        tell(f"written to {out}: comparison.html, comparison.json")
    if json:
        print_json(found)
        return
    head = f"{second} against {first}: {comparison_words.verdict(found)}"
    numbers, worth = comparison_words.numbers(found), comparison_words.tests(found)
    print_table(numbers.columns, numbers.rows, right=numbers.right, title=head)
    print_table(worth.columns, worth.rows)
    for title, videos in (("lost", found.lost), ("gained", found.gained)):
        side = comparison_words.changed(videos, _CHANGED)
        more = f", the first {_CHANGED}; --json has all" if len(videos) > _CHANGED else ""
        if side.rows:
            name = f"{title}: {len(videos)} videos{more}"
            print_table(side.columns, side.rows, right=side.right, title=name)


_CHANGED = 20  # videos of a side on the terminal


def _print_tables(result: EvalResult) -> None:
    """Numbers, counts and what to bear in mind, to stdout."""
    from ptv_hub.evaluation.report import numbers, title
    from ptv_hub.evaluation.reproduced import in_words

    found = numbers(result)
    head = f"{title(result)}: {result.counts.scored} of {result.counts.listed} videos scored"
    print_table(found.columns, found.rows, right=found.right, title=head)
    rows = [("reproduced", in_words(row)) for row in result.comparisons if row.lost is not None]
    rows += [("not comparable", reason) for reason in (*result.differs, *result.apart)]
    rows += [("bear in mind", caution) for caution in result.cautions]
    rows += [
        ("failed", f"{count}: {reason}") for reason, count in result.failures_by_reason.items()
    ]
    if rows:
        print_table(("", ""), rows)
