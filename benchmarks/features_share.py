"""The model's share of the time: features of a collection, decoded by workers ahead of the model.

The command's own road (files and journal written) over copies of one video, windows half a clip
apart; what is counted are the seconds in the model, as the journal has them, of those that pass
from the end of the first video to that of the last. A process a model, in turns.

    python benchmarks/features_share.py x3d_m slowfast_r50 --workers 1
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import measuring

VIDEO = measuring.ROOT / "tests" / "data" / "golden" / "videos" / "wide_30fps_10s.mp4"


def run(case: dict[str, Any]) -> dict[str, Any]:
    import torch

    import ptv_hub
    from ptv_hub.engines.memory import keep_freed_memory
    from ptv_hub.inference.feature_files import FileKind
    from ptv_hub.inference.features import asked_features
    from ptv_hub.inference.finding import find
    from ptv_hub.inference.windows import Windows
    from ptv_hub.runs.collection import Share
    from ptv_hub.runs.collection import run as through
    from ptv_hub.runs.extracting import Extracting
    from ptv_hub.runs.ledger import known

    keep_freed_memory()
    torch.manual_seed(0)
    model = ptv_hub.load(case["name"], pretrained=False)
    if case["backend"] != "eager":
        model.reset_classifier(0)
        model = ptv_hub.optimize(model, case["backend"])
    frames = model.entry.input.num_frames * model.entry.input.sampling_rate
    windows = Windows(window=f"{frames}/30s", stride=f"{frames}/60s")
    with tempfile.TemporaryDirectory() as folder:
        videos, out = Path(folder) / "videos", Path(folder) / "out"
        videos.mkdir()
        for number in range(case["copies"]):
            (videos / f"v{number}{Path(case['video']).suffix}").symlink_to(case["video"])
        wish = asked_features(model.entry, (), windows)
        work = Extracting(model, wish, FileKind(), out, weights=None)
        moments = []
        for one in through(work, find(str(videos)), out, Share(workers=case["workers"])):
            moments.append((one.name, time.perf_counter()))
        entries = known(out, work.settings)
    counted = [entries[name] for name, _ in moments[1:]]
    seconds = moments[-1][1] - moments[0][1]
    return {
        "windows": sum(one.rows for one in counted),
        "seconds": seconds,
        "windows/s": sum(one.rows for one in counted) / seconds,
        "in the model": sum(one.model_seconds for one in counted) / seconds,
        "decoding": sum(one.decode_seconds for one in counted) / seconds,
    }


def main() -> None:
    parser = measuring.parser(__doc__)
    parser.add_argument("names", nargs="*", default=["x3d_m", "slowfast_r50"])
    parser.add_argument("--video", default=str(VIDEO))
    parser.add_argument("--copies", type=int, default=8, help="the first is not counted")
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 1])
    parser.add_argument("--backend", default="eager")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measuring.show(measured(args, folder), args.json)


def measured(args: argparse.Namespace, folder: str) -> list[dict[str, Any]]:
    """A row a model and number of workers."""
    common = {"video": str(Path(args.video).resolve()), "copies": args.copies}
    cases = [
        {"name": name, "workers": workers, "backend": args.backend, **common}
        for name in args.names
        for workers in args.workers
    ]
    found = measuring.alternately(__file__, cases, args.repeats, folder)
    return [
        {"model": case["name"], "backend": case["backend"], "workers": case["workers"], **one}
        for case, one in zip(cases, found, strict=True)
    ]


if __name__ == "__main__":
    measuring.as_script(run, main)
