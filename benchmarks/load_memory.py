#!/usr/bin/env python3
"""Peak memory of loading a model, above what the imports took, against the weights' bytes.

Each case runs in a process of its own on a checkpoint drawn with its optimizer state. After
loading, every weight is read once, so that mapped files count too. Goal: at most 1.2 times
the weights for zip .pyth and safetensors. The stock way, for comparison: build the model,
torch.load, load_state_dict.

    python benchmarks/load_memory.py [--json] [NAME ...]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

CASES = ("zip", "safetensors", "legacy", "stock")

CHILD = """
import sys
import torch, safetensors.torch, pytorchvideo.models.hub
from ptv_hub import load
from ptv_hub.models import builders
from ptv_hub.weights import checkpoint
from ptv_hub.fetching.hub import entry
case, name, path = sys.argv[1:]
def status(field):
    line = next(l for l in open("/proc/self/status") if l.startswith(field))
    return int(line.split()[1]) * 1024
# What is imported and set up on first use: pytorchvideo, torch's readers, its thread pool.
builders.build(entry("x3d_xs"), device="meta")
tiny = path + ".tiny"
checkpoint.write(tiny, {"blocks.0.a": torch.zeros(1)})
checkpoint.read(tiny)
torch.ones(1 << 16).sum()
open("/proc/self/clear_refs", "w").write("5")   # the peak starts anew
before, anonymous = status("VmRSS"), status("RssAnon")
if case == "stock":
    model = getattr(pytorchvideo.models.hub, name)()
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["model_state"])
else:
    model = load(name, weights=path)
for tensor in model.state_dict().values():
    tensor.max()
print(status("VmHWM") - before, status("RssAnon") - anonymous)
"""


def measure(case: str, name: str, path: Path) -> tuple[int, int]:
    """Bytes at the peak and bytes of private memory afterwards, above the imports."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD, case, name, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    peak, private = map(int, done.stdout.split())
    return peak, private


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=["x3d_m", "slowfast_r50", "slowfast_r101"])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()

    from ptv_hub.weights.convert import convert
    from tools import draw

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in args.names:
            files = {
                "zip": draw.write(name, f"{folder}/zip.pyth"),
                "legacy": draw.write(name, f"{folder}/legacy.pyth", legacy=True),
                "stock": draw.write(name, f"{folder}/stock.pyth", layout="official"),
                "safetensors": Path(folder, "tensors.safetensors"),
            }
            convert(files["zip"], files["safetensors"], to="official")
            weights = sum(t.numel() * t.element_size() for t in draw.state_dict(name).values())
            for case in CASES:
                peak, private = measure(case, name, files[case])
                rows.append(
                    {
                        "model": name,
                        "file": case,
                        "weights_bytes": weights,
                        "peak_bytes": peak,
                        "peak_over_weights": round(peak / weights, 2),
                        "private_over_weights": round(private / weights, 2),
                    }
                )
    if args.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'model':<26}{'file':<13}{'weights MB':>11}{'peak/weights':>14}{'private/weights':>17}")
    for row in rows:
        print(
            f"{row['model']:<26}{row['file']:<13}{row['weights_bytes'] / 1e6:>11.1f}"
            f"{row['peak_over_weights']:>14.2f}{row['private_over_weights']:>17.2f}"
        )


if __name__ == "__main__":
    main()
