"""``ptv-hub features``: what a model sees in videos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

import typer

from ptv_hub.cli.loading import load_on
from ptv_hub.cli.options import (
    AllowBroken,
    BatchViews,
    ClipSampling,
    ConfigFile,
    Device,
    Fps,
    Json,
    Name,
    Threads,
    VideoWords,
    Views,
    Weights,
)
from ptv_hub.cli.tables import print_json, print_table
from ptv_hub.cli.videos import Video, VideoRun, rate
from ptv_hub.cli.which_model import asked_with_videos
from ptv_hub.errors import UsageError, WriteError

if TYPE_CHECKING:
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
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for one file a video.")
    ] = None,
    stage: Annotated[
        str | None, typer.Option(help="A stage on the way in place of the embedding.")
    ] = None,
    stages: Annotated[
        bool, typer.Option("--stages", help="List the model's stages and stop.")
    ] = False,
    maps: Annotated[
        bool, typer.Option("--maps", help="Keep time, height and width of a stage, of every view.")
    ] = False,
    format: Annotated[Literal["npz", "safetensors"], typer.Option(help="Of the files.")] = "npz",
    weights: Weights = None,
    views: Views = None,
    clip_sampling: ClipSampling = None,
    fps: Fps = None,
    allow_broken: AllowBroken = False,
    device: Device = "cpu",
    threads: Threads = None,
    batch_views: BatchViews = 1,
    json: Json = False,
) -> None:
    """Write what a model sees in each clip of videos, with the clips' times.

    Each file holds ``features`` (clips x channels), ``start`` and ``end`` (seconds).

    Examples:

        ptv-hub features slowfast_r50 'clips/*.mp4' -o embeddings

        ptv-hub features x3d_m --stages

        ptv-hub features x3d_m dancing.mp4 -o maps --stage stage3 --maps --views 10x1
    """
    from ptv_hub.engines.machine import Machine
    from ptv_hub.inference.features import features as run
    from ptv_hub.inference.features import save_features

    wanted, words = asked_with_videos(name, videos, config=config, weights=weights)
    if stages:
        _print_stages(wanted.entry, json)
        return
    if not words or out is None:
        raise UsageError("videos and a folder are needed", fix="features NAME VIDEO... -o FOLDER")
    going = VideoRun(words)
    machine = Machine(device=device, threads=threads)
    model = load_on(machine, wanted.to_run, wanted.weights)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError.because(error, out) from error
    names = iter(_file_names(going.videos))

    def one(video: Video) -> tuple[_Written, Sequence[str]]:
        path = out / f"{next(names)}.{format}"
        done = run(
            model,
            video,
            stage=stage,
            pool=not maps,
            views=views,
            clip_sampling=clip_sampling,
            fps=rate(video, fps),
            allow_broken=allow_broken,
            batch_views=batch_views,
        )
        save_features(done, path)
        written = _Written(
            video=done.video,
            file=str(path),
            model=done.model,
            stage=done.stage,
            shape=list(done.values.shape),
            views=done.views,
            duration=done.duration,
            notes=list(done.notes),
        )
        return written, done.notes

    results = going.each(one)
    if json:
        print_json([*results, *going.failures])
    elif results:
        rows = [[one["file"], " x ".join(map(str, one["shape"])), one["video"]] for one in results]
        print_table(["file", "shape", "video"], rows)
    going.end()


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


def _file_names(videos: Sequence[Video]) -> list[str]:
    """A name for each video: its own, and where two would share it, a number behind."""
    seen: dict[str, int] = {}
    names = []
    for video in videos:
        path = Path(video) if isinstance(video, str) else Path(video[0]).parent
        name = (path.resolve().name if path.is_dir() else path.stem) or "video"
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return names
