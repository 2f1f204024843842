"""Memory of the features of a long video: the command and all processes that it starts.

A video of 1080p is drawn: ten seconds of pictures, encoded once as H.264 and written again and
again with later times, so that an hour is there in some seconds and costs little to decode. The
command ``features`` writes its windows with a journal, and the memory of its processes is looked
twice a second: each page once (``Pss``), what workers share with it too.

    python benchmarks/long_video.py x3d_m --hours 1 --window 240s --stride 120s
    python benchmarks/long_video.py slowfast_r50 --hours 1 --window 240s --stride 120s
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import measuring
from tools.processes import family

RATE, SECONDS = 25, 10


def draw(path: Path, hours: float) -> None:
    """1080p at 25 frames a second: soft colours, and a bright field that wanders over them."""
    packets = _encoded()
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(packets[0].stream)
        ticks = int(Fraction(1, RATE) / packets[0].time_base)
        for turn in range(round(hours * 3600 / SECONDS)):
            for packet in packets:
                copied = av.Packet(bytes(packet))
                later = turn * SECONDS * RATE * ticks
                copied.time_base = packet.time_base
                copied.pts, copied.dts = packet.pts + later, packet.dts + later
                copied.is_keyframe = packet.is_keyframe
                copied.duration = ticks
                copied.stream = stream
                container.mux(copied)


def _encoded() -> list[Any]:
    import io

    import av
    import numpy as np

    down, right = np.mgrid[0:1080, 0:1920].astype(np.float32)
    ground = np.stack([right / 12, down / 8, (right + down) / 16], axis=-1).astype(np.uint8)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        options = {"bf": "0", "g": str(SECONDS * RATE), "preset": "veryfast", "tune": "fastdecode"}
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        for number in range(SECONDS * RATE):
            pixels = ground.copy()
            left = 6 * number
            pixels[400:680, left : left + 280] += 90
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    file.seek(0)
    container = av.open(file)
    return [packet for packet in container.demux(video=0) if packet.size]


def proportional_bytes(process: int) -> int:
    """Its pages, those shared with others by their part."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def watched(command: list[str]) -> dict[str, float]:
    """Run it; the most bytes that it and its processes had, and their processors' seconds."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(command, cwd=measuring.ROOT, env=_surroundings())
    seen = []
    while process.poll() is None:
        seen.append(sum(proportional_bytes(one) for one in family(process.pid)))
        time.sleep(0.5)
    if process.returncode:
        raise SystemExit(f"the command ended with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # Of the largest process the kernel's own count, which no look can miss.
    return {
        "peak GiB": max(seen) / 2**30,
        "in its first half GiB": max(seen[: len(seen) // 2 + 1]) / 2**30,
        "largest process GiB": after.ru_maxrss / 2**20,
        "cpu s": used,
        "seconds": time.perf_counter() - start,
    }


def _surroundings() -> dict[str, str]:
    return {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONPATH": str(measuring.ROOT)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="+")
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--window", default="240s")
    parser.add_argument("--stride", default="120s")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--video", help="another one, in place of the drawn")
    parser.add_argument("--json", action="store_true", help="write JSON to stdout")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        video = Path(args.video) if args.video else Path(folder) / "long.mp4"
        if not args.video:
            draw(video, args.hours)
        for name in args.names:
            rows.append({"model": name, **measured(name, video, args, Path(folder))})
    measuring.show(rows, args.json)


def measured(name: str, video: Path, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    import numpy as np

    from tools import draw as checkpoints

    weights = checkpoints.write(name, folder / f"{name}.pyth", training=False)
    found = watched(
        [
            *(sys.executable, "-m", "ptv_hub", "features", name, str(video)),
            *("-o", str(folder / name), "--weights", str(weights)),
            *("--window", args.window, "--stride", args.stride, "--workers", str(args.workers)),
        ]
    )
    with np.load(folder / name / f"{video.stem}.npz") as arrays:
        rows, end = len(arrays["start"]), float(arrays["end"][-1])
        frames = {int(frame) for seen in arrays["frames"] for frame in seen}
    return {"hours": end / 3600, "windows": rows, "frames seen": len(frames), **found}


if __name__ == "__main__":
    main()
