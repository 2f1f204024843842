#!/usr/bin/env python3
"""Measure trained motion_x3d models on the held-out videos; publish the first of them.

    python tools/motion_x3d.py run-0/motion_x3d run-1/motion_x3d run-2/motion_x3d

The folders are those of ``ptv-hub finetune`` (docs/demo.md). Each is measured by the protocol on
all held-out videos, and once more with the frames of each clip shuffled. ``--publish`` writes the
first one's weights, what it says of each video and its numbers into ``manifests/``.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch
from torch import Tensor, nn

import ptv_hub
from ptv_hub.datasets.listing import Listing
from ptv_hub.datasets.reading import read_listing
from ptv_hub.evaluation.result import EvalResult
from ptv_hub.files import sha256_of, write_text
from ptv_hub.models.digest import digest
from ptv_hub.verification.cost import count
from ptv_hub.verification.drawn_videos import decoded_sha256
from ptv_hub.verification.repeated import predictions

MANIFEST = ROOT / "manifests" / "demo.json"
WEIGHTS = ROOT / "manifests" / "demo" / "motion_x3d.safetensors"


class Shuffled(nn.Module):
    """A model that sees the frames of each clip in random order."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.entry = model, model.entry
        self.order = torch.Generator().manual_seed(0)

    def forward(self, clip: Tensor) -> Tensor:
        frames = torch.randperm(clip.shape[2], generator=self.order)
        scores: Tensor = self.model(clip[:, :, frames]).softmax(1)
        return scores


def measure(model: Any, listing: Listing, out: Path) -> EvalResult:
    result = ptv_hub.evaluate(model, listing, out=out, progress=True)
    assert result is not None, "one process"
    return result


def publish(model: Any, weights: Path, listing: Listing, result: EvalResult, out: Path) -> None:
    """Weights, predictions and numbers into the manifest's folder."""
    WEIGHTS.parent.mkdir(exist_ok=True)
    shutil.copy(weights, WEIGHTS)
    said = predictions(out / "scores.npz", model.entry.labels)
    with open(WEIGHTS.with_suffix(".csv"), "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["id", "frames_sha256", "predicted"])
        for item in listing.items:
            rows.writerow([item.id, decoded_sha256(str(item.video)), said[item.id]])
    content = json.loads(MANIFEST.read_text(encoding="utf-8"))
    (row,) = content["entries"]
    (artifact,) = row["artifacts"]
    artifact |= {"size": WEIGHTS.stat().st_size, "sha256": sha256_of(WEIGHTS)}
    cost = count(model.entry)
    row["published"] = {
        "top1": round(result.metrics.top1 or 0.0, 2),
        "top5": round(result.metrics.top5 or 0.0, 2),
        "gflops": round(cost.gflops_published, 2),
        "params_millions": round(cost.params / 1e6, 2),
        "url": f"manifests/demo/{WEIGHTS.name}",
    }
    row["digest"] = digest(model.state_dict())
    write_text(MANIFEST, json.dumps(content, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--publish", action="store_true", help="the first of them")
    args = parser.parse_args()
    for number, run in enumerate(args.runs):
        model = ptv_hub.load(f"local-dir:{run / 'model'}")
        listing = read_listing(model.entry, "drawn")
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            result = measure(model, listing, out / "plain")
            control = measure(Shuffled(model).eval(), listing, out / "shuffled")
            print(
                f"{run}: top-1 {result.metrics.top1:.2f}, top-5 {result.metrics.top5:.2f}, "
                f"frames shuffled {control.metrics.top1:.2f}, "
                f"over {result.counts.scored} videos"
            )
            if args.publish and number == 0:
                weights = run / "model" / "model.safetensors"
                publish(model, weights, listing, result, out / "plain")


if __name__ == "__main__":
    main()
