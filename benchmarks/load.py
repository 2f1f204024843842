#!/usr/bin/env python3
"""Loading a model, and starting cold, against the way there is without this package.

Warm: build + torch.load + load_state_dict, imports excluded, file in the page cache; the
weights are compared bit for bit. Cold: a whole process that imports and loads, against one
that only imports torch; and the command line against a bare ``python -c pass``. Code is compiled
before, into a folder of its own, as it is where pip installed it.

    python benchmarks/load.py [--repeats 5] [--json] [NAME ...]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import measuring

CALLS = 5
VIDEO = ROOT / "tests" / "data" / "golden" / "videos" / "wide_30fps_10s.mp4"
_PREDICT = ["-m", "ptv_hub", "predict", "x3d_s", str(VIDEO), "--weights", "WEIGHTS"]
PROCESSES = {
    "python -c pass": ["-c", "pass"],
    "import torch": ["-c", "import torch"],
    "import torch, pytorchvideo.models": ["-c", "import torch, pytorchvideo.models"],
    "import ptv_hub": ["-c", "import ptv_hub"],
    "ptv_hub.load": [
        "-c",
        "import sys, ptv_hub; ptv_hub.load('x3d_m', weights=sys.argv[1])",
        "WEIGHTS",
    ],
    "ptv-hub --help": ["-m", "ptv_hub", "--help"],
    "ptv-hub list": ["-m", "ptv_hub", "list"],
    "ptv-hub predict, one view": [*_PREDICT, "--views", "1x1"],
    "ptv-hub predict": _PREDICT,
    "ptv-hub predict --backend eager": [*_PREDICT, "--backend", "eager"],
}
"""What stands behind ``python``; ``WEIGHTS`` are X3D_M's, those of ``predict`` X3D_S's."""


def run(case: dict[str, Any]) -> dict[str, Any]:
    clock = measuring.CLOCKS[case["clock"]]
    import torch

    from ptv_hub.fetching.hub import entry
    from ptv_hub.models.builders import build
    from ptv_hub.weights.checkpoint import same_bits
    from ptv_hub.weights.load import load

    name, path = case["name"], case["file"]
    item = entry(name)

    def stock() -> Any:
        model = build(item).eval()
        content = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(content["model_state"])
        return model

    def ours() -> Any:
        return load(name, weights=path)

    make = stock if case["variant"] == "stock" else ours
    load(name, weights=path)  # imports, and the file into the page cache
    seconds = measuring.median_seconds(make, CALLS, clock)
    model = make()
    wanted = torch.load(case["official"], weights_only=True)["model_state"]
    equal = all(same_bits(t, wanted[k]) for k, t in model.state_dict().items())
    return {"seconds": seconds, "equal": equal}


def cold(folder: str, repeats: int) -> list[dict[str, Any]]:
    from tools import draw

    drawn = {name: str(draw.write(name, f"{folder}/{name}.pyth")) for name in ("x3d_m", "x3d_s")}
    processes = {
        name: [
            drawn["x3d_s" if "predict" in name else "x3d_m"] if w == "WEIGHTS" else w for w in words
        ]
        for name, words in PROCESSES.items()
    }
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONPYCACHEPREFIX": f"{folder}/compiled",
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    seconds: dict[str, list[float]] = {name: [] for name in processes}
    for turn in range(repeats + 1):
        for name, arguments in processes.items():
            start = time.perf_counter()
            subprocess.run(
                [sys.executable, "-W", "ignore", *arguments],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=True,
            )
            if turn:  # the first compiles, and fills the page cache
                seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    return [
        {
            "process": name,
            "seconds": value,
            "over import torch": value / medians["import torch"],
            "more than pass, s": value - medians["python -c pass"],
        }
        for name, value in medians.items()
    ]


def main() -> None:
    from ptv_hub.weights.convert import convert
    from tools import draw

    parser = measuring.parser(__doc__)
    parser.add_argument("names", nargs="*", default=["x3d_m", "slowfast_r50", "slowfast_r101"])
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in args.names:
            official = str(draw.write(name, f"{folder}/{name}.pyth", layout="official"))
            tensors = f"{folder}/{name}.safetensors"
            convert(official, tensors, to="official")
            cases = [
                {
                    "name": name,
                    "clock": args.clock,
                    "variant": variant,
                    "file": file,
                    "official": official,
                }
                for variant, file in (
                    ("stock", official),
                    (".pyth", official),
                    (".safetensors", tensors),
                )
            ]
            found = measuring.alternately(__file__, cases, args.repeats, folder)
            rows += [
                {
                    "model": name,
                    "way": case["variant"],
                    "ms": 1000 * one["seconds"],
                    "times faster": found[0]["seconds"] / one["seconds"],
                    "bit-equal": one["equal"],
                }
                for case, one in zip(cases, found, strict=True)
            ]
        starts = cold(folder, args.repeats)
    if args.json:
        measuring.show([*rows, *starts], True)
        return
    measuring.show(rows, False)
    print()
    measuring.show(starts, False)


if __name__ == "__main__":
    measuring.as_script(run, main)
