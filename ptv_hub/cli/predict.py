"""``ptv-hub predict``: what a model says of videos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptv_hub.cli.loading import load_on
from ptv_hub.cli.options import (
    ADVANCED,
    AllowBroken,
    AnyWeights,
    BatchViews,
    ClipSampling,
    ConfigFile,
    Device,
    Dtype,
    Fps,
    Json,
    Name,
    Overwrite,
    Threads,
    VideoWords,
    Views,
    Weights,
)
from ptv_hub.cli.told import Told
from ptv_hub.cli.videos import Across, DecodingWorkers, Shard, VideoList, VideoRun, across_videos
from ptv_hub.cli.which_model import asked_with_videos
from ptv_hub.errors import PtvHubError, UsageError
from ptv_hub.files import ready_folder

if TYPE_CHECKING:
    from ptv_hub.cli.boxes import Form
    from ptv_hub.cli.which_model import Asked
    from ptv_hub.runs.predicting import Predicting


def register(app: typer.Typer) -> None:
    app.command()(predict)


def predict(
    name: Name = None,
    videos: VideoWords = None,
    config: ConfigFile = None,
    listed: VideoList = None,
    weights: Weights = None,
    any_weights: AnyWeights = False,
    views: Views = None,
    top_k: Annotated[
        int | None,
        typer.Option("--top-k", "-k", min=1, help="Classes to show. [default: 5]"),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Only classes with this score or more, however many.",
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    timeline: Annotated[
        bool,
        typer.Option("--timeline", help="Also the scores of each clip.", rich_help_panel=ADVANCED),
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw the scores over time: FILE.png or FILE.html, of one video."),
    ] = None,
    annotate: Annotated[
        Path | None,
        typer.Option(
            help="Write the video with labels and bars over it: FILE.mp4 or FILE.gif, of one video."
        ),
    ] = None,
    stride: Annotated[
        str | None,
        typer.Option(
            help="Of --annotate, from a window's start to the next: 16 (frames), or 0.5s. "
            "[default: half of the window]",
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    overwrite: Overwrite = False,
    boxes: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Score each box of this CSV or JSON, by a model for detection.",
        ),
    ] = None,
    clip_sampling: ClipSampling = None,
    fps: Fps = None,
    allow_broken: AllowBroken = False,
    device: Device = "auto",
    threads: Threads = None,
    backend: Annotated[
        str | None,
        typer.Option(
            help="eager, torch, compile, openvino, or auto: the same scores, faster. "
            "[default: torch on a CPU]"
        ),
    ] = None,
    dtype: Dtype = "fp32",
    batch_views: BatchViews = 1,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder for a JSON file a video, as the videos lie; the same command goes on "
            "where it was stopped.",
        ),
    ] = None,
    workers: DecodingWorkers = None,
    shard: Shard = "1/1",
    across: Across = None,
    json: Json = False,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Write JSON to stdout, a line a video at once.")
    ] = False,
    csv: Annotated[
        bool, typer.Option("--csv", help="Write CSV to stdout, each video at once.")
    ] = False,
) -> None:
    """Say what happens in videos.

    A video that cannot be read is reported, the others are done, and the exit code is 1.

    Examples:

        ptv-hub predict x3d_m dancing.mp4

        ptv-hub predict X3D_M 'clips/*.mp4' --views 1x1 --csv

        ptv-hub predict x3d_m videos/ -o predictions --jsonl > all.jsonl

        ptv-hub predict Charades/SLOW_8x8_R50 frames/ --threshold 0.3

        ptv-hub predict slowfast_r50 dancing.mp4 --views 30x1 --plot dancing.html

        ptv-hub predict x3d_m dancing.mp4 --annotate labelled.mp4 --stride 0.5s

        ptv-hub predict slow_r50_detection dancing.mp4 --boxes people.csv

        ptv-hub predict run/best.pyth dancing.mp4

        ptv-hub predict --config X3D_M.yaml dancing.mp4 TEST.NUM_SPATIAL_CROPS 1
    """
    from ptv_hub.cli.boxes import predict_boxes, refuse_others
    from ptv_hub.cli.pictures import Pictures
    from ptv_hub.engines.machine import Machine

    if json + jsonl + csv > 1:
        raise UsageError("one format at a time", expected="--json, --jsonl or --csv")
    if backend in (None, "eager") and dtype != "fp32":
        raise UsageError("--dtype is for a backend", found=dtype, fix="--backend torch")
    if boxes is not None:
        given = {"--views": views, "--timeline": timeline, "--plot": plot, "--backend": backend}
        given.update({"--annotate": annotate, "--stride": stride, "--out": out})
        refuse_others({**given, "--clip-sampling": clip_sampling, "--jsonl": jsonl})
    wanted, words = asked_with_videos(name, videos, config=config, weights=weights)
    if not (words or listed):
        raise UsageError("no video is named", fix="predict NAME VIDEO...")
    going = VideoRun(words, listed)
    share = going.share(workers, shard)
    pictures = Pictures(plot, annotate, stride, top_k, threshold, fps, allow_broken, batch_views)
    pictures.ready(going, overwrite)
    if out is not None:
        ready_folder(out)
    if boxes is not None:
        form: Form = "json" if json else "csv" if csv else "table"
        machine = Machine(device=device, threads=threads)
        model = load_on(machine, wanted.to_run, wanted.weights)
        predict_boxes(model, going, boxes, top_k, threshold, fps, allow_broken, form)
        return
    work = _work(
        wanted,
        _Asked(views, clip_sampling, top_k, threshold, timeline or plot is not None),
        _Where(device, threads, backend, dtype, batch_views, across, any_weights),
        out,
        fps,
        allow_broken,
    )
    told = Told("csv" if csv else "jsonl" if jsonl else "json" if json else "tables", timeline)
    told.begin()
    for done in going.through(work, out, share):
        assert done.made is not None
        told.add(done.made.result)
        for draw in pictures.draw:
            try:
                draw(work.model, done.made.result, done.video.source)
            except PtvHubError as error:  # the labels are there all the same
                going.undrawn(error)
    told.end(going.failures)
    going.end(out)


@dataclass(frozen=True)
class _Asked:
    """What is to be said of each video."""

    views: str | None
    clip_sampling: str | None
    top_k: int | None
    threshold: float | None
    timeline: bool


@dataclass(frozen=True)
class _Where:
    """Where and how the model runs."""

    device: str
    threads: int | None
    backend: str | None
    dtype: str
    batch_views: int
    across: bool | None
    any_weights: bool

    @property
    def chosen(self) -> str | None:
        """The backend; on a CPU that which is ready at once, if none is named."""
        from ptv_hub.engines.device import usable_device

        at_once = "torch" if usable_device(self.device).type == "cpu" else None
        return self.backend or at_once


def _work(
    wanted: Asked,
    asked: _Asked,
    where: _Where,
    out: Path | None,
    fps: float | None,
    allow_broken: bool,
) -> Predicting:
    from dataclasses import replace
    from functools import partial

    from ptv_hub.engines.machine import Machine
    from ptv_hub.inference.predict import Telling, protocol_for, said_of_weights
    from ptv_hub.models.builders import VideoModel
    from ptv_hub.models.digest import digest
    from ptv_hub.runs.predicting import Predicting

    item = wanted.to_run
    protocol = protocol_for(item, asked.views, asked.clip_sampling)
    told = Telling(item, protocol, asked.top_k, asked.threshold)
    machine = Machine(
        device=where.device, threads=where.threads, backend=where.chosen, dtype=where.dtype
    )
    model = load_on(machine, item, wanted.weights, any_weights=where.any_weights)
    told = replace(told, notes=said_of_weights(model))
    known: str | None = getattr(model, "weights_digest", None)
    if known is None and out is not None and isinstance(model, VideoModel):
        known = digest(model.state_dict())
    return Predicting(
        model,
        protocol,
        partial(told.of, timeline=asked.timeline),
        out,
        asked=f"top_k {asked.top_k}, threshold {asked.threshold}, timeline {asked.timeline}",
        weights=known,
        fps=fps,
        allow_broken=allow_broken,
        batch_views=where.batch_views,
        across=across_videos(where.across, model),
    )
