"""Features of a collection by 1, 2 and 3 processes, and a model of what they cost.

Of each model the cost of one process is measured part by part: decoding and preparing a second of
video, a window through the network, bytes written, and the fixed seconds of a start. From these
of two models, and the number of cores, the times of two and three processes are predicted, and
those of a third model from its window's cost alone; and compared with what is measured.

    python benchmarks/features_scale.py VIDEO... --processes 1 2 3 --json > scale.json

Processes run at once, each with one thread, by ``--shard``: what they share is the machine. Give
the load of the machine with the numbers: on one that is busy, wall times say little, and
``--clock cpu`` compares processors' seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import measuring

MODELS = ("x3d_xs", "x3d_s", "x3d_m")


def weights_of(name: str, folder: Path) -> Path:
    from tools import draw

    return Path(draw.write(name, folder / f"{name}.pyth"))


def run(
    name: str, weights: Path, videos: list[str], processes: int, out: Path
) -> tuple[float, float]:
    """Seconds that pass, and a processor's seconds of all processes."""
    before = os.times()
    start = time.perf_counter()
    running = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "ptv_hub", "features", name, *videos, "-o", str(out)),
                *("--weights", str(weights), "--window", "2s", "--stride", "1s"),
                *("--workers", "0", "--shard", f"{number + 1}/{processes}"),
            ],
            cwd=measuring.ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(measuring.ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for number in range(processes)
    ]
    for process in running:
        if process.wait():
            raise SystemExit(f"{name}: a process ended with {process.returncode}")
    passed = time.perf_counter() - start
    after = os.times()
    used = after.children_user + after.children_system
    return passed, used - before.children_user - before.children_system


def parts(out: Path) -> dict[str, float]:
    """What the journals of a run say: seconds of decoding and of the network, windows, bytes."""
    from ptv_hub.runs.ledger import FOLDER, Ledger

    found = {"decode": 0.0, "network": 0.0, "windows": 0.0, "video": 0.0, "bytes": 0.0}
    for path in (out / FOLDER).glob("*.sqlite"):
        with Ledger(path, new=False) as ledger:
            for one in ledger.entries():
                found["decode"] += one.decode_seconds
                found["network"] += one.model_seconds
                found["windows"] += one.rows
                found["video"] += one.seconds
                found["bytes"] += sum(one.files.values())
    return found


def predicted(cost: dict[str, float], processes: int, cores: int) -> float:
    """Each process starts by itself; the rest is shared by as many as have a core."""
    busy = min(processes, cores)
    return cost["start"] * max(1.0, processes / cores) + (cost["decode"] + cost["network"]) / busy


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("videos", nargs="+")
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--processes", nargs="*", type=int, default=[1, 2, 3])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    cores, rows = os.cpu_count() or 1, []
    with tempfile.TemporaryDirectory() as folder:
        for name in args.models:
            weights = weights_of(name, Path(folder))
            cost: dict[str, Any] = {}
            for processes in args.processes:
                out = Path(folder) / f"{name}-{processes}"
                passed, used = run(name, weights, args.videos, processes, out)
                told = parts(out)
                if not cost:
                    rest = passed - told["decode"] - told["network"]
                    cost = {**told, "start": rest}
                guess = predicted(cost, processes, cores)
                rows.append(
                    {
                        "model": name,
                        "processes": processes,
                        "seconds": passed,
                        "cpu": used,
                        "predicted": guess,
                        "off": f"{100 * (guess / passed - 1):+.0f} %",
                        "decode ms/s of video": 1e3 * told["decode"] / told["video"],
                        "network ms/window": 1e3 * told["network"] / told["windows"],
                        "bytes/window": told["bytes"] / told["windows"],
                        "load": os.getloadavg()[0],
                    }
                )
    measuring.show(rows, False)
    if args.json:
        print(json.dumps({"machine": measuring.machine(), "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
