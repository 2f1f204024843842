#!/usr/bin/env python3
"""A whole evaluation: videos an hour, against PySlowFast's test loop.

That loop, rewritten from pytorchvideo's parts (``benchmarks/stock.py``), decodes each clip anew
and runs the model eagerly. Both are given the same videos, batches of 3 views and no workers;
imports and the building of the model are not counted, what a backend compiles is.

    python benchmarks/evaluation.py [--repeats 3] [--videos 4] [--json]
                                    [--variants stock,torch:fp32,openvino:fp32] [NAME ...]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import measuring

VIDEO = ROOT / "tests" / "data" / "golden" / "videos" / "wide_30fps_10s.mp4"
VARIANTS = ("stock", "torch:fp32", "openvino:fp32", "torch:bf16")


def run(case: dict[str, Any]) -> dict[str, Any]:
    clock = measuring.CLOCKS[case["clock"]]
    import numpy as np
    import torch

    from benchmarks import stock
    from ptv_hub.engines.memory import keep_freed_memory
    from ptv_hub.engines.optimized import optimize
    from ptv_hub.evaluation.loop import evaluate
    from ptv_hub.weights.load import load

    device = case["device"]
    torch.backends.cudnn.allow_tf32 = False
    model: Any = load(case["name"], weights=case["weights"]).to(device)
    model.activation = model.entry.protocol.activation
    first, *others = case["videos"]
    backend, _, dtype = case["variant"].partition(":")
    if backend != "stock":
        keep_freed_memory()

    def scores_of(videos: list[str]) -> Any:
        if backend == "stock":
            return stock.scores(model, videos, 3, device).numpy()
        with tempfile.TemporaryDirectory() as folder:
            items = [(video, 0) for video in videos]
            batch, workers = case["batch"], case["workers"]
            evaluate(
                model,
                items,
                out=folder,
                batch_views=batch,
                workers=workers,
                dtype=dtype,
                preprocess=case["preprocess"],
            )
            return np.load(Path(folder, "scores.npz"))["scores"]

    start = clock()
    if backend != "stock":
        views = measuring.calibrated(model, first) if dtype == "int8" else None
        model = optimize(model, backend, dtype=dtype, calibration=views)
    scores_of([first])
    begun = clock()
    scores = scores_of(others)
    return {
        "first": begun - start,
        "seconds": (clock() - begun) / len(others),
        "scores": scores.tolist(),
        "peak": measuring.peak_bytes(device),
    }


def main() -> None:
    from tools import draw

    parser = measuring.parser(__doc__)
    parser.add_argument("names", nargs="*", default=["x3d_xs", "x3d_s", "x3d_m", "slowfast_r50"])
    parser.add_argument("--videos", type=int, default=4, help="after the first")
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--workers", type=int, default=0, help="decoding processes, here")
    parser.add_argument("--batch", type=int, default=3, help="views at once, here")
    parser.add_argument("--preprocess", default="host", help="device, nvdec: on the GPU")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        videos = []
        for number in range(args.videos + 1):
            copy = Path(folder, f"{number}.mp4")
            copy.write_bytes(VIDEO.read_bytes())
            videos.append(str(copy))
        for name in args.names:
            weights = str(draw.write(name, f"{folder}/{name}.pyth", training=False))
            rows += measuring.against_first(
                __file__,
                name,
                args.variants.split(","),
                {
                    "clock": args.clock,
                    "weights": weights,
                    "videos": videos,
                    "device": args.device,
                    "workers": args.workers,
                    "batch": args.batch,
                    "preprocess": args.preprocess,
                },
                args.repeats,
                folder,
                lambda one: {
                    "videos an hour": round(3600 / one["seconds"]),
                    "first video s": one["first"],
                },
            )
    measuring.show(rows, args.json)


if __name__ == "__main__":
    measuring.as_script(run, main)
