"""``ptv-hub predict`` and ``features``: what a model says of videos, and what it sees in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptv_hub.cli.tables import print_json, print_table
from ptv_hub.cli.which_model import NAME, Asked, ConfigFile, asked_with_videos
from ptv_hub.errors import PtvHubError, UsageError, WriteError

if TYPE_CHECKING:
    from ptv_hub.inference.predict import Prediction
    from ptv_hub.zoo.entry import Entry

Name = Annotated[str | None, typer.Argument(help=f"{NAME} None with --config.")]
Videos = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="VIDEO",
        help="Files, URLs, globs, folders of frames (JPEG, PNG), or folders of any of these; "
        "with --config KEY VALUE pairs may follow.",
    ),
]
Weights = Annotated[Path | None, typer.Option(help="A local file in place of the zoo's.")]
Views = Annotated[
    str | None, typer.Option(help="Clips x crops, as 10x3. [default: the published protocol's]")
]


class ClipSampling(str, Enum):
    release = "release"
    main = "main"


Sampling = Annotated[
    ClipSampling | None,
    typer.Option(help="Clip starts as in pytorchvideo 0.1.5 (release) or as since April 2022."),
]
Fps = Annotated[
    float | None,
    typer.Option(help="Frames per second of a folder of frames. [default: 30]", min=0.001),
]
AllowBroken = Annotated[
    bool, typer.Option("--allow-broken", help="Keep what can be decoded of damaged files.")
]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, ...")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of the CPU. [default: all]")]
BatchViews = Annotated[
    int, typer.Option(min=1, help="Views at once; more is faster on a GPU, and takes more memory.")
]
Backend = Annotated[
    str | None,
    typer.Option(help="Run on torch, compile, openvino, or auto: faster, with the same scores."),
]
Dtype = Annotated[str, typer.Option(help="With --backend: fp32, bf16 or fp16 (GPUs).")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]


def register(app: typer.Typer) -> None:
    app.command()(predict)
    app.command()(features)


def predict(
    name: Name = None,
    videos: Videos = None,
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
    clip_sampling: Sampling = None,
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
    from ptv_hub.inference.predict import predict as run
    from ptv_hub.inference.timeline import FORMATS, draw_timeline

    if json and csv:
        raise UsageError("one format at a time", found="--json --csv")
    if plot is not None and plot.suffix.lower() not in FORMATS:
        raise UsageError("a picture of another kind", where=plot, expected=" or ".join(FORMATS))
    wanted, words = asked_with_videos(name, videos, config=config, weights=weights)
    if not words:
        raise UsageError("no video is named", fix="predict NAME VIDEO...")
    found, failures = _sources(words)
    if plot is not None and len(found) > 1:
        raise UsageError("a picture is of one video", found=f"{len(found)} videos")
    model = _model(wanted, device, threads, backend, dtype)

    def one(video: str | list[str]) -> Prediction:
        rate = _rate(video, fps)
        done = run(
            model,
            video,
            top_k,
            views,
            threshold=threshold,
            timeline=timeline or plot is not None,
            clip_sampling=clip_sampling.value if clip_sampling else None,
            fps=rate,
            allow_broken=allow_broken,
            batch_views=batch_views,
        )
        if plot is not None:
            draw_timeline(done, video, plot, fps=rate, allow_broken=allow_broken)
            typer.echo(f"wrote {plot}", err=True)
        return done

    results: list[Prediction] = []
    for video, done in _each(found, one, failures):
        results.append(done)
        for note in done.notes:
            typer.echo(f"{video}: {note}", err=True)
    if json:
        exclude = None if timeline else {"timeline"}
        print_json([done.model_dump(mode="json", exclude=exclude) for done in results] + failures)
    elif csv:
        _print_csv(results, timeline)
    else:
        for done in results:
            _print_prediction(done, timeline)
    _end(failures)


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
        groups: list[tuple[list[str], Any]] = [([""] * len(span), done.predictions)]
        if timeline:
            groups += [
                ([f"{moment.start:.3f}", f"{moment.end:.3f}"], moment.predictions)
                for moment in done.timeline or ()
            ]
        for seconds, classes in groups:
            for rank, one in enumerate(classes, 1):
                score = f"{one.score:.6g}"
                lines.writerow([done.video, *seconds, rank, one.label, one.index, score])


def features(
    name: Name = None,
    videos: Videos = None,
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
    format: Annotated[str, typer.Option(help="npz or safetensors.")] = "npz",
    weights: Weights = None,
    views: Views = None,
    clip_sampling: Sampling = None,
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
    from ptv_hub.inference.features import FORMATS, save_features
    from ptv_hub.inference.features import features as run

    wanted, words = asked_with_videos(name, videos, config=config, weights=weights)
    if stages:
        _print_stages(wanted.entry, json)
        return
    if not words or out is None:
        raise UsageError("videos and a folder are needed", fix="features NAME VIDEO... -o FOLDER")
    if format not in FORMATS:
        raise UsageError("no such format", expected=" or ".join(FORMATS), found=repr(format))
    found, failures = _sources(words)
    model = _model(wanted, device, threads)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError.because(error, out) from error
    names = iter(_file_names(found))

    def one(video: str | list[str]) -> dict[str, Any]:
        path = out / f"{next(names)}.{format}"
        done = run(
            model,
            video,
            stage=stage,
            pool=not maps,
            views=views,
            clip_sampling=clip_sampling.value if clip_sampling else None,
            fps=_rate(video, fps),
            allow_broken=allow_broken,
            batch_views=batch_views,
        )
        save_features(done, path)
        return {
            "video": done.video,
            "file": str(path),
            "model": done.model,
            "stage": done.stage,
            "shape": list(done.values.shape),
            "views": done.views,
            "duration": done.duration,
            "notes": list(done.notes),
        }

    results: list[dict[str, Any]] = []
    for video, done in _each(found, one, failures):
        results.append(done)
        for note in done["notes"]:
            typer.echo(f"{video}: {note}", err=True)
    if json:
        print_json(results + failures)
    elif results:
        rows = [[one["file"], " x ".join(map(str, one["shape"])), one["video"]] for one in results]
        print_table(["file", "shape", "video"], rows)
    _end(failures)


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


def _file_names(videos: list[str | list[str]]) -> list[str]:
    """A name for each video: its own, and where two would share it, a number behind."""
    seen: dict[str, int] = {}
    names = []
    for video in videos:
        path = Path(video) if isinstance(video, str) else Path(video[0]).parent
        name = (path.resolve().name if path.is_dir() else path.stem) or "video"
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return names


def _sources(words: list[str]) -> tuple[list[str | list[str]], list[dict[str, Any]]]:
    """The videos that the words name, and a record of each word that names none."""
    from ptv_hub.inference.video import find_videos

    found: list[str | list[str]] = []
    failures: list[dict[str, Any]] = []
    for word in words:
        try:
            found += find_videos([word])
        except PtvHubError as error:
            failures.append(_failure(word, error))
    return found, failures


def _rate(video: str | list[str], fps: float | None) -> float | None:
    """``--fps`` is for the folders of frames among the videos."""
    return fps if isinstance(video, list) or Path(video).is_dir() else None


def _failure(video: str | list[str], error: PtvHubError) -> dict[str, Any]:
    name = video if isinstance(video, str) else f"{len(video)} images"
    typer.echo(f"ptv-hub: {error}", err=True)
    return {"video": name, "error": str(error), "predictions": []}


def _model(
    wanted: Asked,
    device: str,
    threads: int | None,
    backend: str | None = None,
    dtype: str = "fp32",
) -> Any:
    import torch

    from ptv_hub.engines.memory import keep_freed_memory
    from ptv_hub.engines.optimized import optimize
    from ptv_hub.weights.load import load

    keep_freed_memory()  # this process is ours
    if backend is None and dtype != "fp32":
        raise UsageError("--dtype is for a backend", found=dtype, fix="--backend torch")
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError("the device cannot be used", where=device, found=reason) from error
    model = load(wanted.to_run, weights=wanted.weights).to(device)
    if backend is None:
        return model
    made = optimize(model, backend, dtype=dtype)
    if made.trials:
        typer.echo(f"runs on {made.backend}, the fastest with the same scores", err=True)
    return made


def _each(
    videos: list[str | list[str]],
    one: Callable[[str | list[str]], Any],
    failures: list[dict[str, Any]],
) -> Iterator[tuple[str | list[str], Any]]:
    """What ``one`` gives for each video, with a progress bar; a bad video goes to ``failures``."""
    import sys

    from tqdm import tqdm

    from ptv_hub.errors import VideoError

    bar = tqdm(videos, unit="video", file=sys.stderr, leave=False, disable=not sys.stderr.isatty())
    with bar:
        for video in bar:
            try:
                done = one(video)
            except VideoError as error:
                bar.clear()
                failures.append(_failure(video, error))
                continue
            bar.clear()
            yield video, done


def _end(failures: list[dict[str, Any]]) -> None:
    if failures:
        typer.echo(f"{len(failures)} could not be done", err=True)
        raise typer.Exit(1)
