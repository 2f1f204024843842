"""Options that several commands share, said once; what is rarely used stands under "Advanced"."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ptv_hub.errors import UsageError

if TYPE_CHECKING:
    from ptv_hub.datasets.listing import Listing

ADVANCED = "Advanced"
"""The panel of a command's help for options that few need."""

# ---------------------------------------------------------------------------- which model

NAME = "Hub name, zoo name, config path, address; or a file of weights, a folder of 'push', a run."
Name = Annotated[str | None, typer.Argument(help=NAME)]
RequiredName = Annotated[str, typer.Argument(help=NAME)]
Names = Annotated[
    list[str] | None, typer.Argument(metavar="NAME", help="Models; none for all there are.")
]
All = Annotated[bool, typer.Option("--all", help="Every model of the manifests.")]
Demo = Annotated[
    bool, typer.Option("--demo", help="The demonstration model, too: trained on drawn data.")
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="A PySlowFast config in place of NAME; KEY VALUE on top."),
]
Opts = Annotated[
    list[str] | None,
    typer.Argument(help="PySlowFast's keys and values: SOLVER.BASE_LR 0.05", metavar="KEY VALUE"),
]
Weights = Annotated[
    str | None,
    typer.Option(help="A file, folder, run, address or name, for weights in place of its own."),
]
AnyWeights = Annotated[
    bool,
    typer.Option(
        "--any-weights",
        help="Take weights that are another model's, or say so.",
        rich_help_panel=ADVANCED,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Replace the file that is to be written.",
        rich_help_panel=ADVANCED,
    ),
]
ValidationSet = Annotated[
    bool,
    typer.Option(
        "--this-is-the-validation-set",
        help="Your word for it: compare with the published numbers, however many videos.",
        rich_help_panel=ADVANCED,
    ),
]

# ---------------------------------------------------------------------------- videos and views

VideoWords = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="VIDEO",
        help="Files, URLs, globs, folders of frames (JPEG, PNG), or folders of any of these; "
        "with --config KEY VALUE pairs may follow.",
    ),
]
Views = Annotated[
    str | None, typer.Option(help="Clips x crops, as 10x3. [default: the published protocol's]")
]
ClipSampling = Annotated[
    Literal["release", "main"] | None,
    typer.Option(
        help="Clip starts as in pytorchvideo 0.1.5 (release) or as since April 2022.",
        rich_help_panel=ADVANCED,
    ),
]
Fps = Annotated[
    float | None,
    typer.Option(
        help="Frames per second of a folder of frames. [default: 30]",
        min=0.001,
        rich_help_panel=ADVANCED,
    ),
]
AllowBroken = Annotated[
    bool,
    typer.Option(
        "--allow-broken",
        help="Keep what can be decoded of damaged files.",
        rich_help_panel=ADVANCED,
    ),
]

# ---------------------------------------------------------------------------- where it runs

Device = Annotated[
    str, typer.Option(help="auto (a GPU where there is one), gpu, cpu, cuda, cuda:1, mps, ...")
]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="Threads of the CPU. [default: all]", rich_help_panel=ADVANCED),
]
Backend = Annotated[
    str | None,
    typer.Option(
        help="torch, compile, openvino, or auto: the same scores, faster. [default: eager]"
    ),
]
Dtype = Annotated[
    str, typer.Option(help="fp32, bf16, fp16 (GPUs) or int8 (OpenVINO).", rich_help_panel=ADVANCED)
]
Preprocess = Annotated[
    Literal["host", "device", "nvdec"],
    typer.Option(
        help="Where frames are resized: device sends uint8 to a GPU, nvdec decodes there too.",
        rich_help_panel=ADVANCED,
    ),
]
Fastest = Annotated[
    bool,
    typer.Option(
        "--fastest", help="The fastest backend: --backend auto.", rich_help_panel=ADVANCED
    ),
]
Within = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="How far --fastest may be from the model's scores; 1e-2 allows bf16. [default: 1e-5]",
        rich_help_panel=ADVANCED,
    ),
]
Calibrate = Annotated[
    Path | None,
    typer.Option(
        help="Folder or list of videos that int8 is calibrated on; kept, and used the next time.",
        rich_help_panel=ADVANCED,
    ),
]
CalibrateViews = Annotated[
    int,
    typer.Option(
        min=1, help="Views to calibrate on; twice as many compare.", rich_help_panel=ADVANCED
    ),
]
CalibrateSeed = Annotated[
    int, typer.Option(min=0, help="Which videos and views are drawn.", rich_help_panel=ADVANCED)
]
BatchViews = Annotated[
    int,
    typer.Option(
        min=1,
        help="Views at once; more is faster on a GPU, and takes more memory.",
        rich_help_panel=ADVANCED,
    ),
]

# ---------------------------------------------------------------------------- data sets

DATA = "Folder of the annotation files, or one of them; or a folder a class."
DatasetName = Annotated[
    str, typer.Argument(help="A model's name, or a data set's: kinetics400, ssv2, charades.")
]
Data = Annotated[Path, typer.Option(help=DATA)]
OptionalData = Annotated[Path | None, typer.Option(help=f"{DATA} Of motion_x3d: drawn.")]
Videos = Annotated[
    Path | None, typer.Option(help="Folder below which the videos or frame folders lie.")
]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first N videos of the list.")]
Workers = Annotated[
    int | None, typer.Option(min=0, help="Processes; as many as cores if not given.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 if any video cannot be used.")]

# ---------------------------------------------------------------------------- training

FreezeStages = Annotated[int, typer.Option(help="Blocks from the input on that do not learn.")]
Labels = Annotated[Path | None, typer.Option(help="Class names, one a line, in index order.")]
Holdout = Annotated[
    float,
    typer.Option(
        help="Part of the videos to watch where there is no val split.", rich_help_panel=ADVANCED
    ),
]
CheckVideos = Annotated[
    Literal["full", "open", "none"],
    typer.Option(
        "--check",
        help="Look at all videos first: full (decode), open (first frame) or none.",
        rich_help_panel=ADVANCED,
    ),
]
SaveEvery = Annotated[
    float,
    typer.Option(help="Seconds between checkpoints within an epoch.", rich_help_panel=ADVANCED),
]
Restart = Annotated[bool, typer.Option("--restart", help="Overwrite what the output folder holds.")]
SkipBroken = Annotated[
    bool,
    typer.Option(
        "--skip-broken",
        help="Let other videos take the place of those that cannot be decoded, and list them.",
    ),
]
Control = Annotated[
    bool,
    typer.Option(
        "--control",
        help="Measure the result with shuffled frames, too.",
        rich_help_panel=ADVANCED,
    ),
]

GroupBy = Annotated[
    str | None,
    typer.Option(
        help="Which video a clip is of: a column of the list, or a pattern over names; no video "
        "stands on both sides.",
        metavar="COLUMN|REGEX",
        rich_help_panel=ADVANCED,
    ),
]
Accumulate = Annotated[
    int,
    typer.Option(min=1, help="Batches to a step of the optimizer.", rich_help_panel=ADVANCED),
]
Ema = Annotated[
    float | None,
    typer.Option(
        help="Keep a moving average of the weights, with this decay: 0.999.",
        rich_help_panel=ADVANCED,
    ),
]
Patience = Annotated[
    int | None,
    typer.Option(min=1, help="End after so many looks in vain.", rich_help_panel=ADVANCED),
]
Balance = Annotated[
    Literal["none", "weights", "sampler"],
    typer.Option(
        help="Let rare classes count as much: in the loss, or in what is drawn.",
        rich_help_panel=ADVANCED,
    ),
]

# ---------------------------------------------------------------------------- what comes out

Json = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]


def part(listing: Listing, limit: int | None, sample: int | None, seed: int) -> Listing:
    """The part of a listing that ``--limit`` or ``--sample`` asks for."""
    if limit is not None and sample is not None:
        raise UsageError("--limit and --sample contradict each other", fix="leave one out")
    if limit is not None:
        return listing.head(limit)
    return listing if sample is None else listing.sample(sample, seed)
