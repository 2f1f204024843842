#!/usr/bin/env python3
"""The main job on a checkpoint drawn here: PySlowFast file -> official -> safetensors -> model.

python tools/demo.py [FOLDER]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch
from rich.console import Console

import ptv_hub
from ptv_hub.errors import KeyMismatch
from tools import draw

console = Console(highlight=False, soft_wrap=True)


def step(text: str) -> None:
    console.print(f"\n[bold]{text}[/bold]")


def size(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB"


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    entry = ptv_hub.entry("X3D_XS")
    console.print(
        f"ptv_hub {ptv_hub.__version__}: {entry.arch}-{entry.depth} of {entry.dataset}, "
        f"as {entry.name!r}.\n"
        "The weights below are drawn, not trained: the numbers show the road, not accuracy."
    )

    step("1. A checkpoint as PySlowFast writes it")
    pyslowfast = draw.write(entry.name, folder / "X3D_XS.pyth")
    identity = ptv_hub.identify(pyslowfast)
    console.print(
        f"   {pyslowfast.name}: {size(pyslowfast)}, {identity.layout} layout, "
        f"{identity.num_tensors} tensors, training state: {', '.join(identity.training)}"
    )
    for found in identity.candidates:
        console.print(f"   recognised as {found.name} by {found.evidence}")

    step("2. PySlowFast layout -> official, and into safetensors")
    official = folder / "x3d_xs_official.pyth"
    safetensors = folder / "x3d_xs.safetensors"
    digests = {identity.digest}
    for source, target in ((pyslowfast, official), (official, safetensors)):
        done = ptv_hub.convert(source, target, to="official")
        digests.add(done.digest)
        dropped = f", left out: {', '.join(done.dropped)}" if done.dropped else ""
        console.print(
            f"   {source.name} -> {target.name}: {size(target)}, read back bit for bit{dropped}"
        )
    back = ptv_hub.convert(safetensors, folder / "back.pyth", to="pyslowfast")
    digests.add(back.digest)
    if len(digests) > 1:
        raise SystemExit("the digests differ: this is a bug")
    console.print(f"   digest {back.digest[:16]}..., the same in all four files")

    step("3. A ready model, and one forward")
    started = time.perf_counter()
    model = ptv_hub.load(entry.name, weights=safetensors, activation="softmax")
    loaded = time.perf_counter() - started
    clip = draw.clip(entry.input.num_frames, entry.input.crop_size)
    with torch.inference_mode():
        scores = model(clip)[0]
    console.print(
        f"   loaded in {loaded * 1000:.0f} ms; clip {tuple(clip.shape)} -> "
        f"scores {tuple(scores.shape)}, sum {scores.sum():.4f}"
    )
    for score, index in zip(*scores.topk(3), strict=True):
        console.print(f"   {score:.3f}  {entry.labels[index]}")

    step("4. What does not belong together is refused")
    try:
        ptv_hub.load("slow_r50", weights=safetensors)
    except KeyMismatch as error:
        console.print(f"   {str(error).splitlines()[0]} ({len(error.missing)} keys missing)")

    step("With the real weights")
    python = Path(sys.executable)
    if python.is_relative_to(Path.cwd()):
        python = python.relative_to(Path.cwd())
    hub = python.parent / "ptv-hub"
    console.print(f"   {hub} list")
    console.print(f"   {hub} show slowfast_r50")
    console.print(f"   {hub} convert X3D_M --to official -o x3d_m.safetensors")
    console.print(f"   {python} -c \"import ptv_hub; ptv_hub.load('slowfast_r50')\"")


if __name__ == "__main__":
    main()
