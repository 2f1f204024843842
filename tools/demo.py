#!/usr/bin/env python3
"""A real model at real work, offline: see it, measure it, convert it, verify it.

python tools/demo.py [FOLDER]
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from rich.console import Console

import ptv_hub
from ptv_hub.datasets import motion
from ptv_hub.datasets.reading import read_listing
from ptv_hub.errors import KeyMismatch
from ptv_hub.evaluation.report import verdict
from ptv_hub.evaluation.report_page import write_report
from ptv_hub.inference.timeline import draw_timeline
from ptv_hub.verification.repeated import kept, predictions
from tools import demo_picture

NAME = "motion_x3d"
PLAN = ("left", "out", "up", "right", "in", "down")
SECONDS = 3
"""Of each motion in the demonstration's video."""
SEED = 4
VIDEOS = 60
SHOWN = ("labelled.mp4", "picture.png", "timeline.html", "evaluation/report.html")
"""What there is to look at, in the folder."""

console = Console(highlight=False, soft_wrap=True)


def step(text: str) -> None:
    console.print(f"\n[bold]{text}[/bold]")


def draw(folder: Path) -> Path:
    """The video whose motion changes, each pixel drawn as nine by nine."""
    frames = motion.draw(PLAN, motion.Dice(SEED), frames=SECONDS * motion.RATE, ease=0.5)
    path = folder / "motion.mp4"
    motion.write(path, frames, zoom=9)
    return path


def see(model: ptv_hub.VideoModel, video: Path, folder: Path) -> None:
    """Write the video with its labels, four windows a second, and its picture and page."""
    made = ptv_hub.annotate(
        model, video, folder / "labelled.mp4", stride="0.25s", top_k=3, overwrite=True
    )
    console.print("   seconds    drawn    seen, by the windows that lie within")
    for place, label in enumerate(PLAN):
        start, end = place * SECONDS, (place + 1) * SECONDS
        within = [w for w in made.windows if start <= w.start and w.end <= end]
        seen = [window.predictions[0].label for window in within]
        counts = {name: seen.count(name) for name in dict.fromkeys(seen)}
        told = ", ".join(f"{name} {count} of {len(seen)}" for name, count in counts.items())
        console.print(f"   {start:2} to {end:2}   {label:8} {told}")
    clips = 4 * SECONDS * len(PLAN)
    found = ptv_hub.predict(
        model, video, 6, f"{clips}x1", timeline=True, clip_sampling="main", batch_views=8
    )
    draw_timeline(found, video, folder / "timeline.html")
    sizes = {"picture.png": demo_picture.WIDE, "picture-narrow.png": demo_picture.NARROW}
    for name, size in sizes.items():
        demo_picture.write(folder / name, video, made.windows, found, PLAN, size)


def measure(model: ptv_hub.VideoModel, folder: Path) -> None:
    """Evaluate on some of the held-out videos, and compare with what was measured on all."""
    listing = read_listing(model.entry, f"drawn:{VIDEOS}")
    result = ptv_hub.evaluate(model, listing, out=folder / "evaluation")
    if result is None:
        raise SystemExit("another process reports")
    write_report(result, folder / "evaluation", {one.id: one.source for one in listing.items})
    console.print(f"   {verdict(result)}")
    said = predictions(folder / "evaluation" / "scores.npz", model.entry.labels)
    before = kept(model.entry)
    other = sorted(item for item in said if said[item] != before[item].predicted)
    right = sum(before[item].predicted == Path(item).parts[0] for item in said)
    console.print(
        f"   of these {len(said)} videos {right} were right when the model was published; "
        f"{len(other)} are taken for something else now{': ' if other else ''}{', '.join(other)}"
    )


def convert(folder: Path) -> Path:
    """Into PySlowFast's layout and back: the digest of the weights stays."""
    pyslowfast, official = (folder / f"{NAME}{suffix}" for suffix in (".pyth", ".safetensors"))
    there = ptv_hub.convert(NAME, pyslowfast, to="pyslowfast")
    back = ptv_hub.convert(pyslowfast, official, to="official")
    if len({there.digest, back.digest, ptv_hub.entry(NAME).digest}) > 1:
        raise SystemExit("the digests differ: this is a bug")
    console.print(f"   {pyslowfast.name} in PySlowFast's layout, {official.name} in the official")
    console.print(f"   digest {back.digest[:16]}..., the same in all three files")
    try:
        ptv_hub.load("x3d_m", weights=pyslowfast)
    except KeyMismatch as error:
        console.print(
            f"   {str(error).splitlines()[0]}: refused ({len(error.missing)} keys missing)"
        )
    return pyslowfast


def what_is_next(folder: Path) -> None:
    step("Look at it")
    for name in SHOWN:
        console.print(f"   {folder / name}")
    step("With the real weights")
    python = Path(sys.executable)
    if python.is_relative_to(Path.cwd()):
        python = python.relative_to(Path.cwd())
    hub = python.parent / "ptv-hub"
    console.print(f"   {hub} list")
    console.print(f"   {hub} predict slowfast_r50 dancing.mp4 --annotate labelled.mp4")
    console.print(f"   {hub} watch x3d_m 0")
    console.print(f"   {hub} verify X3D_M")
    console.print(f"   {hub} convert X3D_M --to official -o x3d_m.safetensors")
    console.print(f"   {python} -c \"import ptv_hub; ptv_hub.load('slowfast_r50')\"")


def main() -> None:
    began = time.perf_counter()
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("demo")
    shutil.rmtree(folder / "evaluation", ignore_errors=True)  # a new run, not the rest of one
    folder.mkdir(parents=True, exist_ok=True)
    entry = ptv_hub.entry(NAME)
    model = ptv_hub.load(NAME)
    console.print(
        f"ptv_hub {ptv_hub.__version__}, {entry.name}: an {entry.arch} of "
        f"{entry.num_params:,} parameters, trained on drawn videos to tell six motions apart.\n"
        "It comes with the project, so that all of this needs no network."
    )
    step(f"1. A video of {len(PLAN)} motions, and what the model sees in it")
    see(model, draw(folder), folder)
    step(f"2. How good it is: {VIDEOS} of the held-out videos")
    measure(model, folder)
    step("3. Another layout, another format, the same weights")
    converted = convert(folder)
    step(f"4. Is {converted.name} what it claims to be?")
    report = ptv_hub.verify(NAME, weights=converted, progress=False)
    console.print(f"   {report.claim}")
    if not report.holds:
        raise SystemExit("a check failed: this is a bug")
    console.print(f"\n   {time.perf_counter() - began:.0f} s")
    what_is_next(folder)


if __name__ == "__main__":
    main()
