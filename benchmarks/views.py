#!/usr/bin/env python3
"""All 30 views of a video: this package, pytorchvideo's Kinetics pipeline, and decoding alone.

One process, no workers; the views are made as each hands them to whoever makes batches of them
(crops of a clip share its memory in both). Of a SlowFast pytorchvideo's pipeline hands out both
pathways; here the slow one's frames are taken of a whole batch, so that batches of three views are
timed too, up to what a model takes. All pathways are compared bit for bit by a hash. ``+kept``:
freed memory stays with the process, as the commands have it.

    python benchmarks/views.py [--repeats 5] [--json] [--video FILE] [NAME ...]
"""

from __future__ import annotations

import hashlib
import itertools
import sys
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import measuring

CALLS = 3
BATCH = 3


def run(case: dict[str, Any]) -> dict[str, Any]:
    clock = measuring.CLOCKS[case["clock"]]
    import av
    import torch

    from benchmarks import stock
    from ptv_hub.engines.memory import keep_freed_memory
    from ptv_hub.fetching.hub import entry
    from ptv_hub.inference.clips import clip_views
    from ptv_hub.inference.transforms import pack_pathways
    from ptv_hub.inference.video import open_video

    item, video = entry(case["name"]), case["video"]

    def decoding() -> Iterator[list[Any]]:
        with av.open(video) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for _ in container.decode(stream):
                yield []

    def theirs() -> Iterator[list[Any]]:
        for view in stock.views(item, [video]):
            yield view["video"]

    def ours() -> Iterator[list[Any]]:
        with open_video(video) as opened:
            for clip in clip_views(opened, item.input, item.protocol):
                yield from ([view] for view in clip.views)

    def pathways(view: list[Any]) -> list[torch.Tensor]:
        packed = pack_pathways(view[0], item.input) if len(view) == 1 else view
        return [packed] if isinstance(packed, torch.Tensor) else packed

    def batches() -> Iterator[list[torch.Tensor]]:
        views = iter(make())
        while waiting := list(itertools.islice(views, BATCH)):
            yield pathways([torch.stack(parts) for parts in zip(*waiting, strict=True)])

    variant, _, kept = case["variant"].partition("+")
    if kept:
        keep_freed_memory()
    make = {"decoding": decoding, "pytorchvideo": theirs, "ptv_hub": ours}[variant]
    sha, count = hashlib.sha256(), 0
    for view in make():
        count += bool(view)
        for pathway in pathways(view) if view else ():
            sha.update(pathway.contiguous().numpy().data)

    def seconds(way: Callable[[], Iterator[Any]]) -> float:
        return measuring.median_seconds(lambda: deque(way(), maxlen=0), CALLS, clock)

    return {
        "seconds": seconds(make),
        "batches": seconds(batches) if count else None,
        "views": count,
        "sha256": sha.hexdigest(),
        "peak": measuring.peak_bytes(),
    }


def main() -> None:
    parser = measuring.parser(__doc__)
    parser.add_argument("names", nargs="*", default=["x3d_xs", "x3d_s", "x3d_m", "slowfast_r50"])
    parser.add_argument(
        "--video", default=str(ROOT / "tests" / "data" / "golden" / "videos" / "wide_30fps_10s.mp4")
    )
    args = parser.parse_args()
    rows = []
    variants = ("pytorchvideo", "ptv_hub", "ptv_hub+kept", "decoding")
    for name in args.names:
        cases = [
            {"name": name, "clock": args.clock, "video": args.video, "variant": v} for v in variants
        ]
        theirs, *both, decoding = measuring.alternately(__file__, cases, args.repeats, ROOT)
        for variant, ours in zip(variants[1:3], both, strict=True):
            rows.append(
                {
                    "model": name,
                    "variant": variant,
                    "views": ours["views"],
                    "pytorchvideo s": theirs["seconds"],
                    "ptv_hub s": ours["seconds"],
                    "times faster": theirs["seconds"] / ours["seconds"],
                    "decoding alone s": decoding["seconds"],
                    "over decoding": ours["seconds"] / decoding["seconds"],
                    "pytorchvideo batches s": theirs["batches"],
                    "batches s": ours["batches"],
                    "bit-equal": ours["sha256"] == theirs["sha256"],
                }
            )
    measuring.show(rows, args.json)


if __name__ == "__main__":
    measuring.as_script(run, main)
