#!/usr/bin/env python3
"""An evaluation at scale: 2,000 short videos; is the memory flat, and is decoding hidden?

The model's own speed is measured before and after, on the same batches without any video;
with one thread for the model and one decoding worker, two cores are enough to hide decoding.
Memory is the resident set of the main process, and of its decoding workers, in MB.

    python benchmarks/evaluation_scale.py [--videos 2000] [--workers 1] [--threads 1] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

NAME = "x3d_xs"
DRAWN = 20
"""Different videos; the others are further names of them."""


def draw_videos(folder: Path, count: int) -> list[tuple[str, int]]:
    """Videos of 0.8 s at 15 frames a second, 320 x 240, and a label for each."""
    import av
    import numpy as np

    rows, columns = np.mgrid[0:240, 0:320]
    for number in range(min(count, DRAWN)):
        with av.open(str(folder / f"drawn{number}.mp4"), "w") as container:
            stream: Any = container.add_stream("mpeg4", rate=15)
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
            for tick in range(12):
                wave = np.sin(rows / (9 + number) + tick) + np.cos(columns / (5 + number))
                frame = np.repeat((60 * wave + 127).astype(np.uint8)[..., None], 3, axis=2)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
    items = []
    for number in range(count):
        path = folder / f"{number:05d}.mp4"
        path.symlink_to(folder / f"drawn{number % DRAWN}.mp4")
        items.append((str(path), number % 400))
    return items


def resident(pid: int) -> float:
    """Megabytes that a process holds in memory."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    lines = [line for line in text.splitlines() if line.startswith("VmRSS")]
    return int(lines[0].split()[1]) / 1024 if lines else 0.0


class Memory(threading.Thread):
    """Notes, every half second, how many videos are done and what is held for them."""

    def __init__(self, done: Callable[[], int]) -> None:
        super().__init__(daemon=True)
        self._done = done
        self._stop_now = threading.Event()
        self.samples: list[tuple[int, float, float]] = []

    def run(self) -> None:
        import multiprocessing
        import os

        while not self._stop_now.wait(0.5):
            workers = [p.pid for p in multiprocessing.active_children() if p.pid]
            held = sum(map(resident, workers))
            self.samples.append((self._done(), resident(os.getpid()), held))

    def end(self) -> None:
        self._stop_now.set()
        self.join()


def own_speed(model: Any, repeats: int = 30) -> float:
    """Videos a second of the model alone: a short video is one clip of three views."""
    import torch

    spec = model.entry.input
    clip = torch.randn(3, 3, spec.num_frames, spec.crop_size, spec.crop_size)
    with torch.inference_mode():
        model(clip)
        start = time.perf_counter()
        for _ in range(repeats):
            model(clip)
    return repeats / (time.perf_counter() - start)


def run(videos: int, workers: int, threads: int) -> dict[str, Any]:
    import torch

    from ptv_hub.evaluation.loop import evaluate
    from ptv_hub.weights.load import load
    from tools import draw

    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        items = draw_videos(folder, videos)
        model = load(NAME, weights=draw.write(NAME, folder / "weights.pyth", training=False))
        model.activation = model.entry.protocol.activation
        calls = 0

        def count(*_: object) -> None:
            nonlocal calls
            calls += 1

        before = own_speed(model)
        counter = model.register_forward_hook(count)
        memory = Memory(lambda: calls)
        memory.start()
        start = time.perf_counter()
        result = evaluate(model, items, out=folder / "out", workers=workers)
        seconds = time.perf_counter() - start
        memory.end()
        counter.remove()
        after = own_speed(model)
    assert result is not None
    assert result.counts.scored == videos
    fifths = [
        [s for s in memory.samples if videos * n / 5 < s[0] <= videos * (n + 1) / 5]
        for n in range(5)
    ]
    return {
        "videos": videos,
        "workers": workers,
        "threads": threads,
        "seconds": seconds,
        "videos_a_second": videos / seconds,
        "own_before": before,
        "own_after": after,
        "model_seconds": result.model_seconds,
        "decode_seconds": result.decode_seconds,
        "model_share": result.model_seconds / seconds,
        "main_mb": [max((s[1] for s in part), default=0.0) for part in fifths],
        "workers_mb": [max((s[2] for s in part), default=0.0) for part in fifths],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--videos", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="write JSON to stdout")
    args = parser.parse_args()
    found = run(args.videos, args.workers, args.threads)
    if args.json:
        print(json.dumps(found, indent=2))
        return
    own = (found["own_before"] + found["own_after"]) / 2
    print(
        f"{found['videos']} videos in {found['seconds']:.1f} s: "
        f"{found['videos_a_second']:.2f} a second"
    )
    print(
        f"the model alone: {own:.2f} a second "
        f"(before {found['own_before']:.2f}, after {found['own_after']:.2f})"
    )
    print(f"in the model: {100 * found['model_share']:.1f} % of the time")
    print(f"decoding, beside it: {found['decode_seconds']:.1f} s")
    for name in ("main_mb", "workers_mb"):
        told = ", ".join(f"{value:.0f}" for value in found[name])
        print(f"most memory in each fifth of the run, {name.removesuffix('_mb')}: {told} MB")


if __name__ == "__main__":
    main()
