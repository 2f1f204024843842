"""Features of a collection by 1, 2 and 3 processes, and a model of what they cost.

What is fitted, on one process and all models but the last:

- *decode*: seconds for a second of video, of a pass over a video that takes one of its frames;
- *transform*: seconds for a million pixels of a frame that a model sees, as it comes and as it is
  scaled, least squares over the runs;
- *network*: seconds a window, of each model in its run; of the last model from single passes;
- *bytes*: of a file beside its rows; and *start*: what is left of a run.

From these, and how much slower a single pass of each model is while the other cores are at one too
(``crowd``: how much of the chip's memory a network takes is its own), all runs of two and three
processes are predicted, and all of the last model; and compared with what is measured, within 15 %.

    python benchmarks/features_scale.py               # of a golden video, 12 times
    python benchmarks/features_scale.py --videos a.mp4 b.mp4 --models x3d_s x3d_m slow_r50

Processes run at once, each with one thread, by ``--shard``: what they share is the machine. On one
that others use, wall times say nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import cost, measuring

MODELS = ("x3d_xs", "x3d_m", "x3d_s")
VIDEO = measuring.ROOT / "tests" / "data" / "golden" / "videos" / "wide_30fps_10s.mp4"
GOAL = 0.15
HOURS, CORES = 10_000, 64
"""Of the collection that is told of, and of each machine."""
PASSING = 10.0
"""Seconds, of single passes of a model."""


# ---------------------------------------------------------------------------- measured


def measured(
    name: str, processes: int, videos: list[str], stride: str, folder: Path, *, repeats: int = 1
) -> cost.Run:
    """The fastest of some runs."""
    from tools import draw

    weights = folder / f"{name}.pyth"
    if not weights.exists():
        draw.write(name, weights, training=False)
    runs = []
    for repeat in range(repeats):
        out = folder / f"{name}-{processes}-{repeat}"
        seconds = _passed(name, processes, [*videos, "-o", str(out)], weights, stride)
        runs.append(cost.Run(name, processes, seconds, _parts(name, out)))
    return min(runs, key=lambda one: one.seconds)


def _passed(name: str, processes: int, words: list[str], weights: Path, stride: str) -> float:
    start = time.perf_counter()
    running = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "ptv_hub", "features", name, *words),
                *("--weights", str(weights), "--window", "2s", "--stride", stride),
                *("--workers", "0", "--shard", f"{number + 1}/{processes}"),
            ],
            cwd=measuring.ROOT,
            env=_surroundings(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for number in range(processes)
    ]
    for process in running:
        if process.wait():
            raise SystemExit(f"{name}: a process ended with {process.returncode}")
    return time.perf_counter() - start


def _surroundings() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(measuring.ROOT)}


def _parts(name: str, out: Path) -> cost.Parts:
    import numpy as np

    from ptv_hub.runs.ledger import FOLDER, Ledger

    entries = []
    for path in (out / FOLDER).glob("*.sqlite"):
        with Ledger(path, new=False) as ledger:
            entries += ledger.entries()
    megapixels = 0.0
    for one in entries:
        for file in one.files:
            with np.load(out / file) as arrays:
                megapixels += len(np.unique(arrays["frames"])) * pixels(name, one.source)
    return cost.Parts(
        decode=sum(one.decode_seconds for one in entries),
        network=sum(one.model_seconds for one in entries),
        files=sum(len(one.files) for one in entries),
        windows=sum(one.rows for one in entries),
        bytes=sum(size for one in entries for size in one.files.values()),
        megapixels=megapixels,
    )


def pixels(name: str, video: str) -> float:
    """Millions of a frame, as it comes and as it is scaled for a model."""
    import av

    from ptv_hub.fetching.hub import entry
    from ptv_hub.inference.crops import scaled_size

    with av.open(video) as container:
        stream = container.streams.video[0]
        height, width = stream.height, stream.width
    scaled = scaled_size(height, width, entry(name).input.short_side)
    return (height * width + scaled[0] * scaled[1]) / 1e6


def decoding(videos: list[str]) -> tuple[float, float]:
    """Seconds of video; and those of a pass over each that takes its last frame alone."""
    from ptv_hub.inference.video import open_video

    length, start = 0.0, time.perf_counter()
    for path in videos:
        with open_video(path) as video:
            length += float(video.timestamps.duration)
            for _ in video.frames([len(video.timestamps.pts) - 1]):
                pass
    return length, time.perf_counter() - start


def passes(name: str, at_once: int = 1) -> float:
    """Seconds of a window through a model alone: the median, of so many processes at once."""
    command = [sys.executable, "-W", "ignore", __file__, "--pass", name]
    running = [
        subprocess.Popen(
            command,
            env=_surroundings(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(at_once)
    ]
    for process in running:  # none measures another's imports
        assert process.stdout is not None
        process.stdout.readline()
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [float(process.communicate()[0]) for process in running]
    return sum(told) / len(told)


def one_pass(name: str) -> float:
    import torch

    import ptv_hub
    from ptv_hub.engines.memory import keep_freed_memory
    from ptv_hub.inference.transforms import pack_pathways

    keep_freed_memory()
    model = ptv_hub.load(name, pretrained=False)
    spec = model.entry.input
    views = torch.rand(1, 3, spec.num_frames, spec.crop_size, spec.crop_size)
    with torch.inference_mode():
        model(pack_pathways(views, spec))
        print("ready", flush=True)
        sys.stdin.readline()
        taken: list[float] = []
        while sum(taken) < PASSING:
            start = time.perf_counter()
            model(pack_pathways(views, spec))
            taken.append(time.perf_counter() - start)
    return statistics.median(taken)


# ---------------------------------------------------------------------------- told


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--videos", nargs="*", help="[default: a golden one, --copies times]")
    parser.add_argument("--copies", type=int, default=12)
    parser.add_argument("--stride", default="2s")
    parser.add_argument("--models", nargs="*", default=list(MODELS), help="the last is predicted")
    parser.add_argument("--processes", nargs="*", type=int, default=[1, 2, 3])
    parser.add_argument("--repeats", type=int, default=1, help="runs of each; the fastest counts")
    parser.add_argument("--json", action="store_true", help="write JSON to stdout")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows, hours = compared(args, Path(folder))
    measuring.show(rows, args.json)
    print(f"\n{HOURS:,} hours of such video, a window each second:\n")
    measuring.show(hours, args.json)


Rows = list[dict[str, Any]]


def compared(args: argparse.Namespace, folder: Path) -> tuple[Rows, Rows]:
    """A row a run: what passed, and what was predicted of it; and a row a model, of many hours."""
    videos, cores = args.videos or _copies(folder, args.copies), os.cpu_count() or 1
    processes = sorted({1, *args.processes})
    *known, last = args.models
    runs = [
        measured(name, count, videos, args.stride, folder, repeats=args.repeats)
        for name in args.models
        for count in processes
    ]
    alone = [run for run in runs if run.processes == 1 and run.model in known]
    single = {name: passes(name) for name in args.models}
    crowd = {name: max(1.0, passes(name, cores) / single[name]) for name in args.models}
    decoding(videos[:1])  # warm
    video, decode = decoding(videos)
    fit = cost.fitted(alone, video, decode)
    _tell(fit, crowd)
    window = {run.model: run.parts.network / run.parts.windows for run in alone}
    window[last] = single[last]
    rows, hours = [], []
    for run in runs:
        much = run.parts.megapixels, run.parts.windows
        amount = cost.Amount(video, *much, window[run.model], crowd[run.model])
        rows.append(_row(run, fit, amount, cores))
        if run.processes == 1:
            hours.append(_of_hours(run.model, fit, amount))
    return rows, hours


def _of_hours(model: str, fit: cost.Fit, amount: cost.Amount) -> dict[str, Any]:
    """What ``HOURS`` cost whose frames are as large as those of a run."""
    second = cost.second_of_video(fit, amount)
    core_hours = HOURS * second
    return {
        "model": model,
        "core s a window": second,
        "of these the network": amount.window * amount.crowd,
        "core hours": round(core_hours),
        **{f"h on {n} x {CORES} cores": core_hours / n / CORES for n in (1, 10, 100)},
        "GB written": HOURS * 3600 * cost.row_bytes(model) / 1e9,
    }


def _copies(folder: Path, count: int) -> list[str]:
    names = [folder / "videos" / f"v{number}{VIDEO.suffix}" for number in range(count)]
    names[0].parent.mkdir()
    return [str(shutil.copyfile(VIDEO, name)) for name in names]


def _tell(fit: cost.Fit, crowd: dict[str, float]) -> None:
    print(
        f"decode {1e3 * fit.decode:.2f} ms a second of video; transform {1e3 * fit.transform:.2f} "
        f"ms a megapixel; start {fit.start:.1f} s; crowd "
        f"{', '.join(f'{name} {ratio:.2f}' for name, ratio in crowd.items())}; "
        f"{fit.beside:.0f} bytes a file beside its rows; load {os.getloadavg()[0]:.1f}",
        file=sys.stderr,
    )


def _row(run: cost.Run, fit: cost.Fit, amount: cost.Amount, cores: int) -> dict[str, Any]:
    guess = cost.seconds(fit, amount, run.processes, cores)
    off = guess / run.seconds - 1
    size = amount.windows * cost.row_bytes(run.model) + run.parts.files * fit.beside
    return {
        "model": run.model,
        "processes": run.processes,
        "windows": run.parts.windows,
        "seconds": run.seconds,
        "predicted": guess,
        "off": f"{100 * off:+.0f} %",
        f"within {GOAL:.0%}": "yes" if abs(off) <= GOAL else "no",
        "network ms/window": 1e3 * run.parts.network / run.parts.windows,
        "as predicted": 1e3 * amount.window,
        "MB": run.parts.bytes / 1e6,
        "MB predicted": size / 1e6,
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--pass"]:
        print(one_pass(sys.argv[2]))
    else:
        main()
