"""``ptv-hub predict``: what a model says of videos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptv_hub.cli.loading import load_on
from ptv_hub.cli.options import (
    AllowBroken,
    Backend,
    BatchViews,
    ClipSampling,
    ConfigFile,
    Device,
    Dtype,
    Fps,
    Json,
    Name,
    Threads,
    VideoWords,
    Views,
    Weights,
)
from ptv_hub.cli.tables import print_json, print_table
from ptv_hub.cli.talk import tell
from ptv_hub.cli.videos import Video, VideoRun, rate
from ptv_hub.cli.which_model import asked_with_videos
from ptv_hub.errors import UsageError

if TYPE_CHECKING:
    from ptv_hub.inference.predict import ClassScore, Prediction


def register(app: typer.Typer) -> None:
    app.command()(predict)


def predict(
    name: Name = None,
    videos: VideoWords = None,
    config: ConfigFile = None,
    weights: Weights = None,
    views: Views = None,
    top_k: Annotated[
        int | None,
        typer.Option("--top-k", "-k", min=1, help="Classes to show. [default: 5]"),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Only classes with this score or more, however many."),
    ] = None,
    timeline: Annotated[
        bool, typer.Option("--timeline", help="Also the scores of each clip.")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw the scores over time: FILE.png or FILE.html, of one video."),
    ] = None,
    clip_sampling: ClipSampling = None,
    fps: Fps = None,
    allow_broken: AllowBroken = False,
    device: Device = "cpu",
    threads: Threads = None,
    backend: Backend = None,
    dtype: Dtype = "fp32",
    batch_views: BatchViews = 1,
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Write CSV to stdout.")] = False,
) -> None:
    """Say what happens in videos.

    A video that cannot be read is reported, the others are done, and the exit code is 1.

    Examples:

        ptv-hub predict x3d_m dancing.mp4

        ptv-hub predict X3D_M 'clips/*.mp4' --views 1x1 --csv

        ptv-hub predict Charades/SLOW_8x8_R50 frames/ --threshold 0.3

        ptv-hub predict slowfast_r50 dancing.mp4 --views 30x1 --plot dancing.html

        ptv-hub predict run/best.pyth dancing.mp4

        ptv-hub predict --config X3D_M.yaml dancing.mp4 TEST.NUM_SPATIAL_CROPS 1
    """
    from ptv_hub.engines.machine import Machine
    from ptv_hub.inference.predict import predict as run
    from ptv_hub.inference.timeline import FORMATS, draw_timeline

    if json and csv:
        raise UsageError("one format at a time", found="--json --csv")
    if plot is not None and plot.suffix.lower() not in FORMATS:
        raise UsageError("a picture of another kind", where=plot, expected=" or ".join(FORMATS))
    if backend is None and dtype != "fp32":
        raise UsageError("--dtype is for a backend", found=dtype, fix="--backend torch")
    wanted, words = asked_with_videos(name, videos, config=config, weights=weights)
    if not words:
        raise UsageError("no video is named", fix="predict NAME VIDEO...")
    going = VideoRun(words)
    if plot is not None and len(going.videos) > 1:
        raise UsageError("a picture is of one video", found=f"{len(going.videos)} videos")
    machine = Machine(device=device, threads=threads, backend=backend, dtype=dtype)
    model = load_on(machine, wanted.to_run, wanted.weights)

    def one(video: Video) -> tuple[Prediction, Sequence[str]]:
        done = run(
            model,
            video,
            top_k,
            views,
            threshold=threshold,
            timeline=timeline or plot is not None,
            clip_sampling=clip_sampling,
            fps=rate(video, fps),
            allow_broken=allow_broken,
            batch_views=batch_views,
        )
        if plot is not None:
            draw_timeline(done, video, plot, fps=rate(video, fps), allow_broken=allow_broken)
            tell(f"wrote {plot}")
        return done, done.notes

    results = going.each(one)
    if json:
        exclude = None if timeline else {"timeline"}
        dumped = [done.model_dump(mode="json", exclude=exclude) for done in results]
        print_json(dumped + going.failures)
    elif csv:
        _print_csv(results, timeline)
    else:
        for done in results:
            _print_prediction(done, timeline)
    going.end()


def _print_prediction(done: Prediction, timeline: bool) -> None:
    print_table(
        ["label", "class", "score"],
        [[one.label, str(one.index), f"{one.score:.4f}"] for one in done.predictions],
        right=["class", "score"],
        title=done.video,
    )
    if timeline and done.timeline:
        print_table(
            ["seconds", "best", "score"],
            [
                [f"{moment.start:.2f} - {moment.end:.2f}", best.label, f"{best.score:.4f}"]
                for moment in done.timeline
                for best in moment.predictions[:1]
            ],
            right=["score"],
        )


def _print_csv(results: list[Prediction], timeline: bool) -> None:
    """A line a class; with a timeline also a line a class of each clip, with its seconds."""
    import csv
    import sys

    lines = csv.writer(sys.stdout, lineterminator="\n")
    span = ["start", "end"] if timeline else []
    lines.writerow(["video", *span, "rank", "label", "index", "score"])
    for done in results:
        groups: list[tuple[list[str], Sequence[ClassScore]]] = [
            ([""] * len(span), done.predictions)
        ]
        if timeline:
            groups += [
                ([f"{moment.start:.3f}", f"{moment.end:.3f}"], moment.predictions)
                for moment in done.timeline or ()
            ]
        for seconds, classes in groups:
            for rank, one in enumerate(classes, 1):
                score = f"{one.score:.6g}"
                lines.writerow([done.video, *seconds, rank, one.label, one.index, score])
