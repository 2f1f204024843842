#!/usr/bin/env python3
"""Draw videos that differ in nothing but motion: left, right, up, down, in, out.

    python tools/motion.py motion/ --train 60 --val 20

Each video of 1.6 s shows a spot that takes four places in each of three ways: along x, along
y, in size. In one of them it passes the four in order or backwards, which is the class; in
the other two it goes to and fro, so that it drifts little. So every class shows the same
places, and only their order tells them apart: with the frames of a clip shuffled, somebody
who goes by the drift guesses a fifth right, where chance is a sixth.

Folders are those that `ptv-hub finetune --data` takes: train/left/0000.mp4, val/left/0000.mp4.
"""

from __future__ import annotations

import argparse
import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

CLASSES = ("left", "right", "up", "down", "in", "out")
FRAMES, RATE = 48, 30
"""1.6 s: what X3D_XS sees in one clip (4 frames, every twelfth)."""
PLACES = np.arange(4)


def _to_and_fro(order: np.ndarray) -> bool:
    """Whether it turns back after each step, and drifts little on the whole."""
    turns = np.diff(np.sign(np.diff(order)))
    return bool(turns.all()) and abs(np.corrcoef(PLACES, order)[0, 1]) <= 0.4


_WAYS = [np.array(order) for order in itertools.permutations(range(4))]
_WAYS = [order for order in _WAYS if _to_and_fro(order)]

ORDERS = [
    (first, second)
    for first, second in itertools.product(_WAYS, repeat=2)
    if not np.array_equal(first, second) and not np.array_equal(first, second[::-1])
]
"""Orders of the two ways that are not the class's; they do not go together either."""


def draw(label: str, rng: np.random.Generator, size: int = 72) -> np.ndarray:
    """One video, uint8, shape (T, size, size, 3)."""
    index = CLASSES.index(label)
    forward = PLACES if index % 2 else PLACES[::-1]
    # x grows to the right, y downwards, size towards the viewer.
    orders = [*ORDERS[rng.integers(len(ORDERS))]]
    orders.insert(index // 2, forward)
    if index // 2 == 2:
        orders[2] = forward[::-1]  # "in": the viewer moves in, the spot grows
    keys = np.array([0, 15, 31, 47])  # the frames that X3D_XS samples
    times = np.arange(FRAMES)
    x, y, scale = (np.interp(times, keys, order - 1.5) for order in orders)
    step = size / 6
    centre = size / 2 + rng.uniform(-size / 18, size / 18, 2)
    radius = size / 12 * 1.45**scale
    background = rng.uniform(0.2, 0.8, 3)
    colour = np.where(background > 0.5, background - 0.45, background + 0.45)
    texture = rng.normal(0, 0.03, (size, size, 1))
    power = rng.choice([2.0, 8.0])  # a disc or a square
    rows, columns = np.mgrid[:size, :size]
    frames = []
    for t in range(FRAMES):
        dx = np.abs(columns - centre[0] - step * x[t]) / radius[t]
        dy = np.abs(rows - centre[1] - step * y[t]) / radius[t]
        edge = np.clip((1.1 - (dx**power + dy**power) ** (1 / power)) * radius[t], 0, 1)
        frame = background + (colour - background) * edge[..., None] + texture
        frames.append(np.clip(frame * 255, 0, 255).astype(np.uint8))
    return np.stack(frames)


def write(path: Path, frames: np.ndarray) -> None:
    """An MPEG-4 file of good quality at 30 frames a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(RATE))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 1_500_000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def write_all(folder: Path, *, train: int, val: int, seed: int = 0, size: int = 72) -> None:
    """``train`` and ``val`` videos of each class."""
    for part, (split, count) in enumerate((("train", train), ("val", val))):
        for index, label in enumerate(CLASSES):
            for number in range(count):
                rng = np.random.default_rng([seed, part, index, number])
                path = folder / split / label / f"{number:04d}.mp4"
                write(path, draw(label, rng, size))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", type=int, default=60, help="videos of each class")
    parser.add_argument("--val", type=int, default=20, help="videos of each class")
    parser.add_argument("--size", type=int, default=72, help="pixels, both sides")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    write_all(args.out, train=args.train, val=args.val, seed=args.seed, size=args.size)


if __name__ == "__main__":
    main()
