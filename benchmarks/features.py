"""Dense features: windows a second, against the extraction as people write it today.

That is: for each window the file is opened anew, sought, and decoded by PyAV; pytorchvideo's
transforms, rewritten for today's torchvision (``stock.py``); a batch of one through the model as
it is; a hook before the classifier. Same windows (half a window's stride), same weights, and the
largest difference of a number is told. A process a variant, in turns.

    python benchmarks/features.py x3d_m slowfast_r50 --video long.mp4 --clock cpu
    python benchmarks/features.py --drawn 40   # seconds of drawn 1080p
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import long_video, measuring, stock

VIDEO = measuring.ROOT / "tests" / "data" / "golden" / "videos" / "wide_30fps_10s.mp4"
VARIANTS = ("per clip", "ptv_hub", "ptv_hub+torch", "ptv_hub+openvino")


def spans(path: str, length: Fraction) -> list[Fraction]:
    """Where the windows begin: half a window apart, the last moved back."""
    import av

    with av.open(path) as container:
        stream = container.streams.video[0]
        end = (stream.duration - (stream.start_time or 0)) * stream.time_base
    starts = [Fraction(0)]
    while starts[-1] + length / 2 + length <= end:
        starts.append(starts[-1] + length / 2)
    if starts[-1] + length < end:
        starts.append(end - length)
    return starts


def per_clip(model: Any, path: str, length: Fraction) -> list[list[float]]:
    import av
    import numpy as np
    import torch

    kept: list[Any] = []
    model.blocks[-1].proj.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    transform = stock.Transform(model.entry)
    rounded = Fraction(float(length))  # a float, as theirs is: 1.6 s end behind a frame at 1.6
    for start in spans(path, length):
        with av.open(path) as container:
            stream = container.streams.video[0]
            zero, base = stream.start_time or 0, stream.time_base
            container.seek(int(start / base) + zero, stream=stream)
            frames = {}
            for frame in container.decode(stream):
                at = (frame.pts - zero) * base
                if at >= start + rounded:
                    break
                if at >= start:
                    frames[frame.pts] = frame.to_rgb().to_ndarray()
        clip = torch.from_numpy(np.stack([frames[pts] for pts in sorted(frames)]))
        clip = clip.permute(3, 0, 1, 2).float()
        views = transform({"video": clip, "aug_index": 1, "video_index": 0})["video"]
        with torch.no_grad():
            model([view[None] for view in views] if len(views) > 1 else views[0][None])
    return [rows.flatten(0, -2).mean(dim=0).tolist() for rows in kept]


def run(case: dict[str, Any]) -> dict[str, Any]:
    import torch

    import ptv_hub
    from ptv_hub.engines.memory import keep_freed_memory
    from ptv_hub.inference.windows import Windows

    clock = measuring.CLOCKS[case["clock"]]
    torch.manual_seed(0)
    model = ptv_hub.load(case["name"], pretrained=False)
    spec = model.entry.input
    frames = spec.num_frames * spec.sampling_rate
    length = Fraction(frames, 30)
    if case["variant"] == "per clip":
        start = clock()
        vectors = per_clip(model, case["video"], length)
        seconds = clock() - start
    else:
        keep_freed_memory()
        backend = case["variant"].partition("+")[2]
        if backend:
            model.reset_classifier(0)
            model = ptv_hub.optimize(model, backend)
        windows = Windows(window=f"{frames}/30s", stride=f"{frames}/60s")
        ptv_hub.features(model, case["video"], window="1s", stride="30s", last="drop")  # warm
        start = clock()
        found = ptv_hub.features(model, case["video"], windows=windows)
        seconds = clock() - start
        vectors = found.values.tolist()
    return {
        "seconds": seconds,
        "windows": len(vectors),
        "scores": vectors,
        "peak": measuring.peak_bytes(),
    }


def main() -> None:
    parser = measuring.parser(__doc__)
    parser.add_argument("names", nargs="*", default=["x3d_m", "slowfast_r50"])
    parser.add_argument("--video", default=str(VIDEO))
    parser.add_argument("--drawn", type=int, help="of 1080p, so many seconds, in place of a video")
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS))
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        if args.drawn:
            args.video = str(Path(folder) / "drawn.mp4")
            long_video.draw(Path(args.video), args.drawn / 3600)
        for name in args.names:
            rows += measured(name, args, folder)
    measuring.show(rows, args.json)


def measured(name: str, args: argparse.Namespace, folder: str) -> list[dict[str, Any]]:
    """A row a variant of a model."""
    return measuring.against_first(
        __file__,
        name,
        args.variants,
        {"video": args.video, "clock": args.clock},
        args.repeats,
        folder,
        lambda one: {
            "windows": round(one["windows"]),
            "windows/s": one["windows"] / one["seconds"],
        },
    )


if __name__ == "__main__":
    measuring.as_script(run, main)
