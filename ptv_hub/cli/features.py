"""``ptv-hub features``: what a model sees in videos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

import typer

from ptv_hub.cli.loading import load_on
from ptv_hub.cli.lying import Lying, stage_of, wish_of
from ptv_hub.cli.options import (
    ADVANCED,
    AllowBroken,
    AnyWeights,
    Backend,
    BatchViews,
    ClipSampling,
    ConfigFile,
    Device,
    Json,
    Name,
    Threads,
    VideoWords,
    Views,
    Weights,
)
from ptv_hub.cli.tables import print_json, print_table
from ptv_hub.cli.talk import tell
from ptv_hub.cli.videos import Across, DecodingWorkers, Shard, VideoList, VideoRun, across_videos
from ptv_hub.cli.which_model import asked_with_videos
from ptv_hub.errors import UsageError
from ptv_hub.files import ready_folder

if TYPE_CHECKING:
    from ptv_hub.cli.which_model import Asked
    from ptv_hub.inference.features import Features
    from ptv_hub.models.builders import ActionModel
    from ptv_hub.runs.collection import Done
    from ptv_hub.zoo.entry import Entry


def register(app: typer.Typer) -> None:
    app.command()(features)


class _Written(TypedDict):
    """What ``--json`` says of one video."""

    video: str
    file: str
    model: str
    stage: str
    shape: list[int]
    views: str
    duration: float
    notes: list[str]


def features(
    name: Name = None,
    videos: VideoWords = None,
    config: ConfigFile = None,
    listed: VideoList = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for one file a video, as the videos lie."),
    ] = None,
    window: Annotated[
        str | None, typer.Option(help="Length of a window: 32 (frames), or 2s.")
    ] = None,
    stride: Annotated[
        str | None, typer.Option(help="From a window's start to the next: 16, or 1s.")
    ] = None,
    every: Annotated[
        str | None, typer.Option(help="A window of this length each such length: 2s.")
    ] = None,
    fps: Annotated[
        str | None,
        typer.Option(
            help="With windows: resample to this rate first; 'source' counts the video's own "
            "frames. Of folders of frames their rate. [default: no resampling; 30]",
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    last: Annotated[
        Literal["back", "drop", "pad"] | None,
        typer.Option(
            help="The end: one more window moved back, none, or filled up. [default: back]",
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    consecutive: Annotated[
        bool,
        typer.Option(
            "--consecutive",
            help="A window's first frames, not spread over it.",
            rich_help_panel=ADVANCED,
        ),
    ] = False,
    crops: Annotated[
        Literal["1", "3"] | None,
        typer.Option(
            help="Of a window: the centre, or three. [default: 1]", rich_help_panel=ADVANCED
        ),
    ] = None,
    whole_frame: Annotated[
        bool,
        typer.Option(
            "--whole-frame",
            help="No crop: pooled over all of each frame.",
            rich_help_panel=ADVANCED,
        ),
    ] = False,
    recipe: Annotated[
        str | None, typer.Option(help="All of this by name, or from a TOML file: 'recipes'.")
    ] = None,
    take: Annotated[
        list[str] | None,
        typer.Option(
            help="embedding, slow, fast, a stage (stage3, stage3:maps), logits, scores; "
            "again for more, from one pass."
        ),
    ] = None,
    pathways: Annotated[
        bool,
        typer.Option(
            "--pathways", help="A SlowFast's two, each for itself.", rich_help_panel=ADVANCED
        ),
    ] = False,
    stage: Annotated[
        str | None, typer.Option(help="As --take STAGE.", rich_help_panel=ADVANCED)
    ] = None,
    stages: Annotated[
        bool,
        typer.Option(
            "--stages", help="List the model's stages and stop.", rich_help_panel=ADVANCED
        ),
    ] = False,
    maps: Annotated[
        bool,
        typer.Option(
            "--maps",
            help="Keep time, height and width of --stage, of every view.",
            rich_help_panel=ADVANCED,
        ),
    ] = False,
    format: Annotated[
        Literal["npz", "npy", "safetensors", "parquet"] | None,
        typer.Option(help="Of the files. [default: npz, or the recipe's]"),
    ] = None,
    dtype: Annotated[
        Literal["fp32", "fp16"] | None,
        typer.Option(
            help="Of the numbers in the files. [default: fp32, or the recipe's]",
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    weights: Weights = None,
    any_weights: AnyWeights = False,
    views: Views = None,
    clip_sampling: ClipSampling = None,
    allow_broken: AllowBroken = False,
    workers: DecodingWorkers = None,
    shard: Shard = "1/1",
    across: Across = None,
    device: Device = "auto",
    threads: Threads = None,
    backend: Backend = None,
    batch_views: BatchViews = 1,
    json: Json = False,
) -> None:
    """Write what a model sees in videos: in dense windows, or in each clip of its protocol.

    A file a video, with a row a window or clip. The same command goes on where it was stopped;
    what failed is listed in _failures.csv and tried again. Under torchrun the ranks share the
    videos.

    Examples:

        ptv-hub features slowfast_r50 videos/ -o out --window 32 --stride 16 --fps 30

        ptv-hub features slowfast_r101 videos/ -o out --recipe ego4d

        ptv-hub features slowfast_r50 'clips/*.mp4' -o out --every 2s --pathways --format parquet

        ptv-hub features x3d_m --stages

        ptv-hub features x3d_m dancing.mp4 -o maps --stage stage3 --maps --views 10x1
    """
    from ptv_hub.runs.extracting import Extracting

    wanted, words = asked_with_videos(name, videos, config=config, weights=weights)
    if stages:
        _print_stages(wanted.entry, json)
        return
    if not (words or listed) or out is None:
        raise UsageError("videos and a folder are needed", fix="features NAME VIDEO... -o FOLDER")
    taken = (*(take or ()), *(("slow", "fast") if pathways else ()), *stage_of(stage, maps))
    lying = Lying(window, stride, every, fps, last, consecutive, crops, whole_frame)
    wish, kind = wish_of(wanted.to_run, recipe, taken, lying, views, clip_sampling)
    kind = replace(kind, format=format or kind.format, dtype=dtype or kind.dtype)
    kind.check()
    ready_folder(out)
    going = VideoRun(words, listed)
    if recipe is None:
        lying.check_rate(going.videos)
    share = going.share(workers, shard)
    model, digest = _loaded(wanted, device, threads, backend, any_weights)
    work = Extracting(
        model,
        wish,
        kind,
        out,
        weights=digest,
        fps=lying.own_rate,
        allow_broken=allow_broken,
        batch_views=batch_views,
        across=across_videos(across, model),
    )
    results = [_written(done) for done in going.through(work, out, share)]
    if json:
        print_json([*results, *going.failures])
    elif results:
        rows = [[one["file"], " x ".join(map(str, one["shape"])), one["video"]] for one in results]
        print_table(["file", "shape", "video"], rows)
    going.end(out)


def _loaded(
    wanted: Asked, device: str, threads: int | None, backend: str | None, any_weights: bool
) -> tuple[ActionModel, str]:
    """The model, and its weights' digest; on a backend it is one that gives its embedding."""
    from ptv_hub.engines.machine import Machine
    from ptv_hub.engines.optimized import optimize
    from ptv_hub.models.builders import VideoModel
    from ptv_hub.models.digest import digest

    machine = Machine(device=device, threads=threads)
    model = load_on(machine, wanted.to_run, wanted.weights, any_weights=any_weights)
    assert isinstance(model, VideoModel)
    known = digest(model.state_dict())
    if backend is None:
        return model, known
    model.reset_classifier(0)
    faster = optimize(model, backend)
    if faster.trials:
        tell(f"runs on {faster.backend}, the fastest with the same numbers")
    return faster, known


def _written(done: Done) -> _Written:
    assert done.made is not None
    found: Features = done.made.result
    return _Written(
        video=found.video,
        file=str(done.made.files[0]),
        model=found.model,
        stage=found.stage,
        shape=list(found.values.shape),
        views=found.views,
        duration=found.duration,
        notes=list(found.notes),
    )


def _print_stages(item: Entry, json: bool) -> None:
    from dataclasses import asdict

    from ptv_hub.models.stages import stages

    found = stages(item)
    if json:
        print_json([asdict(stage) for stage in found])
        return
    figures = ["channels", "stride in time", "in space"]
    print_table(
        ["stage", *figures],
        [
            [one.name, str(one.channels), str(one.stride_time), str(one.stride_space)]
            for one in found
        ],
        right=figures,
    )
