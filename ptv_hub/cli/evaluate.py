"""``ptv-hub eval`` and ``ptv-hub data``: reproduce the published numbers, and prepare for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptv_hub.cli.asked import NAME, ConfigFile, Opts, asked
from ptv_hub.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from ptv_hub.datasets import Listing
    from ptv_hub.evaluation import EvalResult

Name = Annotated[
    str, typer.Argument(help="A model's name, or a data set's: kinetics400, ssv2, charades.")
]
Data = Annotated[
    Path, typer.Option(help="Folder of the annotation files, or one of them; or a folder a class.")
]
Videos = Annotated[
    Path | None, typer.Option(help="Folder below which the videos or frame folders lie.")
]
Workers = Annotated[
    int | None, typer.Option(min=0, help="Processes; as many as cores if not given.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 if any video cannot be used.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]


def register(app: typer.Typer) -> None:
    app.command("eval")(evaluate)
    data = typer.Typer(no_args_is_help=True, help="Look at a data set, or prepare it.")
    data.command("check")(check)
    data.command("extract")(extract)
    app.add_typer(data, name="data")


def evaluate(
    name: Annotated[str | None, typer.Argument(help=NAME)] = None,
    opts: Opts = None,
    config: ConfigFile = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the annotation files, or one of them; or a folder a class."),
    ] = None,
    videos: Videos = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="A local file, in place of the model's own."
        ),
    ] = None,
    views: Annotated[
        str | None, typer.Option(help="Clips x crops, as in 10x3; published if not given.")
    ] = None,
    clip_sampling: Annotated[
        str | None, typer.Option(help="Clip starts as in pytorchvideo's 'release' or 'main'.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the journal and the reports; eval-NAME if not given."),
    ] = None,
    batch_views: Annotated[
        int | None, typer.Option(min=1, help="Views of a video at once; one clip's if not given.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Decoding processes; half of the cores if not given.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; cuda where there is one if not given.")
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(
            help="Run on torch, compile, openvino, or auto: faster, with the same scores."
        ),
    ] = None,
    dtype: Annotated[str, typer.Option(help="fp32, bf16 or fp16.")] = "fp32",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first N videos of the list.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Only N videos, drawn at random.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of --sample.")] = 0,
    keep_views: Annotated[
        bool, typer.Option("--keep-views", help="Also keep the scores of each view.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Only write the report of this folder's journals.")
    ] = None,
    merge: Annotated[
        list[Path] | None,
        typer.Option(help="Only join the journals of this folder, and of others, into --out."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 if any listed video has no score.")
    ] = False,
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
    """
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
    from ptv_hub import datasets
    from ptv_hub.evaluation import evaluate as run
    from ptv_hub.load import load
    from ptv_hub.predict import protocol_for
    from ptv_hub.report.evaluation import write_report

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
    listing = _part(datasets.read(item, data, videos=videos), limit, sample, seed)
    for note in listing.notes:
        typer.echo(f"note: {note}", err=True)
    folder = out or Path(f"eval-{item.name}")
    try:
        found = run(
            _on_backend(load(item, weights=wanted.weights).to(_device(device)), backend, dtype),
            listing,
            protocol,
            out=folder,
            batch_views=batch_views,
            workers=max(1, (os.cpu_count() or 2) // 2) if workers is None else workers,
            dtype=dtype,
            keep_views=keep_views,
            progress=True,
        )
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on where it was", err=True)
        raise typer.Exit(1) from None
    if found is None:  # another rank than the first: that one reports
        return
    write_report(found, folder)
    typer.echo(f"written to {folder}: report.html, report.md, result.json, scores.npz", err=True)
    _print(found, json)
    raise typer.Exit(int(strict and found.failed))


def _no_run(name: str | None, config: Path | None, data: Path | None) -> None:
    if name is not None or config is not None or data is not None:
        raise UsageError(
            "--report and --merge need no model and no data: all is in the journals",
            fix="leave NAME, --config and --data out",
        )


def _print(result: EvalResult, json: bool) -> None:
    from ptv_hub.report import print_json
    from ptv_hub.report.evaluation import print_result

    if json:
        print_json(result)
    else:
        print_result(result)


def _part(listing: Listing, limit: int | None, sample: int | None, seed: int) -> Listing:
    if limit is not None and sample is not None:
        raise UsageError("--limit and --sample contradict each other", fix="leave one out")
    if limit is not None:
        return listing.head(limit)
    return listing if sample is None else listing.sample(sample, seed)


def _device(name: str | None) -> Any:
    """The device of this process; of several ranks each has a GPU of its own."""
    import torch

    there = torch.cuda.is_available()
    if name is None:
        name = "cuda" if there else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError("no such device", expected="cpu, cuda or cuda:N", found=name) from error
    if device.type == "cuda":
        if not there:
            raise UsageError("this torch sees no GPU", found=name, fix="--device cpu")
        if device.index is None:
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    return device


def _on_backend(model: Any, backend: str | None, dtype: str) -> Any:
    from ptv_hub.backends import keep_freed_memory, optimize

    keep_freed_memory()  # this process is ours
    if backend is None:
        return model
    made = optimize(model, backend, dtype=dtype)
    if made.trials:
        typer.echo(f"runs on {made.backend}, the fastest with the same scores", err=True)
    return made


def _reported(folder: Path) -> EvalResult:
    """The report of a folder's journals, written beside them."""
    from contextlib import ExitStack

    from ptv_hub.evaluation import collect, finish
    from ptv_hub.report.evaluation import write_report

    with ExitStack() as stack:
        result = finish(folder, collect([folder], stack))
    write_report(result, folder)
    return result


def _merged(folders: list[Path], out: Path | None) -> EvalResult:
    from ptv_hub.evaluation import merge
    from ptv_hub.report.evaluation import write_report

    if out is None:
        raise UsageError("--merge needs a folder to write to", fix="--out DIR")
    result = merge(folders, out)
    write_report(result, out)
    return result


def check(
    name: Name,
    data: Data,
    videos: Videos = None,
    decode: Annotated[
        bool, typer.Option("--decode", help="Decode all frames that an evaluation would.")
    ] = False,
    write: Annotated[
        Path | None, typer.Option(help="Write the list of the usable videos to this file.")
    ] = None,
    workers: Workers = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N videos.")] = None,
    strict: Strict = False,
    json: Json = False,
) -> None:
    """Say what of a data set is there, what is missing, and what cannot be decoded.

    Examples:

        ptv-hub data check kinetics400 --data kinetics400 --videos kinetics400/val

        ptv-hub data check ssv2 --data ssv2 --videos ssv2/frames --write ssv2/val.csv
    """
    from ptv_hub import datasets, preparation
    from ptv_hub.report import print_json
    from ptv_hub.report.evaluation import print_check

    item = _of_dataset(name)
    listing = _part(datasets.read(item, data, videos=videos), limit, None, 0)
    with _bar(len(listing.items)) as bar:
        found = preparation.check(
            item, listing, decode_all=decode, workers=_cores(workers), on_video=bar.update
        )
    if json:
        print_json(found)
    else:
        print_check(found)
    if write is not None:
        below = videos or (data if data.is_dir() else data.parent)
        count = preparation.write_usable(item, listing, found, write, below)
        typer.echo(f"written: {write} ({count} videos)", err=True)
    raise typer.Exit(int(strict and bool(found.failures)))


def extract(
    name: Name,
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder of the frame folders and their list.")],
    videos: Videos = None,
    workers: Workers = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N videos.")] = None,
    strict: Strict = False,
    json: Json = False,
) -> None:
    """Extract the frames of SSv2 or Charades as the zoo's owners did: JPEGs at 30 a second.

    Examples:

        ptv-hub data extract ssv2 --data ssv2 --videos ssv2/20bn-something-something-v2 --out frames

        ptv-hub eval slow_r50_ssv2 --data ssv2 --videos frames
    """
    from ptv_hub import datasets, preparation
    from ptv_hub.report import print_json
    from ptv_hub.report.evaluation import print_extracted

    item = _of_dataset(name)
    listing = _part(datasets.read(item, data, videos=videos), limit, None, 0)
    with _bar(len(listing.items)) as bar:
        found = preparation.extract(
            item, listing, out, workers=_cores(workers), on_video=bar.update
        )
    if json:
        print_json(found)
    else:
        print_extracted(found)
    raise typer.Exit(int(strict and bool(found.failures)))


def _of_dataset(name: str) -> Any:
    """The entry of a name, or the first of a data set."""
    from ptv_hub.hub import entry
    from ptv_hub.manifest import entries

    wanted = name.casefold()
    return next((item for item in entries() if item.dataset.casefold() == wanted), None) or entry(
        name
    )


def _cores(workers: int | None) -> int:
    return (os.cpu_count() or 1) if workers is None else workers


def _bar(total: int) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, unit="video", dynamic_ncols=True)
