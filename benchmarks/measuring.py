"""What the benchmarks have in common: variants in fresh processes, alternately, and medians.

Variants that share a process change each other's heap and flatter the slower one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
"""Seconds that pass, or seconds of a processor, the kernel's for page faults included."""


def parser(text: str | None) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=(text or "").splitlines()[0])
    made.add_argument("--repeats", type=int, default=3, help="processes of each variant")
    made.add_argument(
        "--clock",
        choices=CLOCKS,
        default="wall",
        help="cpu (with OMP_NUM_THREADS=1) where other work runs beside it",
    )
    made.add_argument("--device", default="cpu", help="cuda: clocks wait for the GPU")
    made.add_argument("--json", action="store_true", help="write JSON to stdout")
    return made


def as_script(run: Callable[[dict[str, Any]], dict[str, Any]], main: Callable[[], None]) -> None:
    """What a benchmark does as a script: one case, as ``child`` asks for it, or all of it."""
    if sys.argv[1:2] == ["--case"]:
        print(json.dumps(run(json.loads(sys.argv[2]))))
    else:
        main()


def calibrated(model: Any, video: str | Path) -> Any:
    """What int8 is calibrated on here: ten views of one video, and twenty others of it."""
    import tempfile

    from ptv_hub.datasets.calibration import calibration

    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(f"{video}\n")
        file.flush()
        return calibration(model.entry, file.name, views=10)


def median_seconds(way: Callable[[], Any], calls: int, clock: Callable[[], float]) -> float:
    """The median over calls of one process."""
    seconds = []
    for _ in range(calls):
        start = clock()
        way()
        seconds.append(clock() - start)
    return statistics.median(seconds)


def child(script: str, case: Mapping[str, Any], folder: str | Path) -> dict[str, Any]:
    """What a script prints as JSON, run by itself on one case."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script, "--case", json.dumps(case)],
        cwd=ROOT,
        env={**os.environ, "PTV_HUB_CACHE": str(folder), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def alternately(
    script: str, cases: Sequence[Mapping[str, Any]], repeats: int, folder: str | Path
) -> list[dict[str, Any]]:
    """The median of every number that the cases give, over processes that take turns."""
    runs: list[list[dict[str, Any]]] = [[] for _ in cases]
    for turn in range(repeats):
        for number, case in enumerate(cases):
            print(f"{turn + 1}/{repeats} {case}", file=sys.stderr)
            runs[number].append(child(script, case, folder))
    return [{**_medians(found), "spread": _spread(found)} for found in runs]


def _spread(found: list[dict[str, Any]]) -> float | None:
    """From the fastest process to the slowest, as a part of the median."""
    seconds = [one["seconds"] for one in found if "seconds" in one]
    if len(seconds) < 2:
        return None
    return (max(seconds) - min(seconds)) / statistics.median(seconds)


def against_first(
    script: str,
    name: str,
    variants: Sequence[str],
    common: Mapping[str, Any],
    repeats: int,
    folder: str | Path,
    columns: Callable[[dict[str, Any]], dict[str, Any]],
) -> list[dict[str, Any]]:
    """A row for each variant of a model: times faster than the first, and how far from its scores.

    ``columns``: what else a row says, from what the case gave.
    """
    import numpy as np

    cases = [{"name": name, "variant": variant, **common} for variant in variants]
    found = alternately(script, cases, repeats, folder)
    rows = []
    for variant, one in zip(variants, found, strict=True):
        row: dict[str, Any] = {"model": name, "variant": variant}
        if "error" in one:
            rows.append({**row, "error": one["error"]})
            continue
        difference = np.abs(np.array(one["scores"]) - np.array(found[0]["scores"])).max()
        rows.append(
            {
                **row,
                **columns(one),
                "times faster": found[0]["seconds"] / one["seconds"],
                "difference": float(difference),
                "peak MB": round(one["peak"] / 1e6),
                "spread": one["spread"],
            }
        )
    return rows


def _medians(found: list[dict[str, Any]]) -> dict[str, Any]:
    good = [one for one in found if "error" not in one]
    if not good:
        return found[0]
    return {
        key: statistics.median(one[key] for one in good)
        if isinstance(value, (int, float))
        else value
        for key, value in good[0].items()
    }


def show(rows: list[dict[str, Any]], as_json: bool) -> None:
    """The rows as a table, or with the machine as JSON."""
    if as_json:
        print(json.dumps({"machine": machine(), "date": str(date.today()), "rows": rows}, indent=2))
        return
    columns = list(dict.fromkeys(key for row in rows for key in row))
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(_text(row.get(column)) for column in columns) + " |")


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1e}" if 0 < abs(value) < 1e-3 else f"{value:.3g}"
    return "" if value is None else str(value)


def machine() -> dict[str, Any]:
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "gpus": gpus,
        "driver": _driver() if gpus else None,
        "cores": os.cpu_count(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "bfloat16": "avx512_bf16" in _flags(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def _driver() -> str:
    """Driver, and the clocks as they are now, as ``nvidia-smi`` says."""
    asked = "driver_version,clocks.sm,clocks.mem,clocks.max.sm,power.limit"
    command = ["nvidia-smi", f"--query-gpu={asked}", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"not told: {error}"


def _flags() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


def finished(device: str) -> None:
    """Wait until a device has done what it was given."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize(device)


def peak_bytes(device: str = "cpu") -> int:
    """The most memory that this process has had, bytes; of a GPU its own."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated(device)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
