#!/usr/bin/env python3
"""One forward pass of every backend against PyTorchVideo's eager one, with its differences.

The baseline is the model as pytorchvideo builds it, in eval mode under no_grad, as PySlowFast
runs it. Batches of 3 views at test size, drawn weights and clip; fresh processes that take
turns; medians. Differences are of the scores, memory is the process's peak.

    python benchmarks/forward.py [--repeats 3] [--json] [--variants eager,torch] [NAME ...]
    python benchmarks/forward.py --device cuda --repeats 5 --variants eager,torch,torch:bf16,compile
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import measuring

NAMES = (
    *("x3d_xs", "x3d_s", "x3d_m", "c2d_r50", "i3d_r50", "slow_r50", "slowfast_r50"),
    *("r2plus1d_r50", "csn_r101"),
)
VIDEO = ROOT / "tests" / "data" / "golden" / "videos" / "wide_30fps_10s.mp4"
"""That int8 is calibrated on."""
VARIANTS = ("eager", "eager+kept", "torch", "torch+kept", "openvino", "torch:bf16", "compile+kept")
"""``+kept``: freed memory stays with the process; ``:bf16``: another type than fp32."""


def run(case: dict[str, Any]) -> dict[str, Any]:
    clock = measuring.CLOCKS[case["clock"]]
    import torch

    from ptv_hub.engines.memory import keep_freed_memory
    from ptv_hub.engines.optimized import optimize
    from ptv_hub.weights.load import load
    from tools import draw

    variant, _, kept = case["variant"].partition("+")
    backend, _, dtype = variant.partition(":")
    if kept:
        keep_freed_memory()
    device = case["device"]
    torch.backends.cudnn.allow_tf32 = False
    model: Any = load(case["name"], weights=case["weights"]).to(device)
    spec = model.entry.input
    model.activation = model.entry.protocol.activation
    if backend != "eager":
        views = measuring.calibrated(model, VIDEO) if dtype == "int8" else None
        model = optimize(model, backend, dtype=dtype or "fp32", calibration=views)
    generator = torch.Generator().manual_seed(1)
    clip = draw.clip(spec.num_frames, spec.crop_size)
    noise = torch.randn(2, *clip.shape[1:], generator=generator)
    views = torch.cat([clip, noise]).to(device)

    def call() -> Any:
        found = model(views)
        measuring.finished(device)
        return found

    with torch.no_grad():
        start = clock()
        scores = call()
        first = clock() - start
        seconds = measuring.median_seconds(call, case["calls"], clock)
    return {
        "seconds": seconds,
        "first": first,
        "peak": measuring.peak_bytes(device),
        "scores": scores.tolist(),
    }


def main() -> None:
    from tools import draw

    parser = measuring.parser(__doc__)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--calls", type=int, default=5, help="after the first, of each process")
    parser.add_argument("--variants", default=",".join(VARIANTS))
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in args.names:
            weights = draw.write(name, f"{folder}/{name}.pyth", training=False)
            rows += measuring.against_first(
                __file__,
                name,
                args.variants.split(","),
                {
                    "clock": args.clock,
                    "device": args.device,
                    "weights": str(weights),
                    "calls": args.calls,
                },
                args.repeats,
                folder,
                lambda one: {"seconds": one["seconds"], "first call s": one["first"]},
            )
    measuring.show(rows, args.json)


if __name__ == "__main__":
    measuring.as_script(run, main)
