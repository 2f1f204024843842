"""Videos that differ in nothing but motion, drawn here: down, in, left, out, right, up.

A field of spots moves in three ways at once: along x, along y, and towards the viewer. In one
of them it moves on, which is the class; in the other two it goes to and fro, nearly as fast. So
all classes show the same places, and with the frames of a clip in another order next to nothing
is left to tell them apart. Noise over every frame, low contrast, small spots, several
sizes and speeds make it a task that a good model fails at now and then.

A video follows from its seed on every machine, to the last bit: numbers are drawn from the raw
bits of PCG64, which numpy keeps the same in all releases; what is computed from them are sums,
products and square roots, which IEEE 754 rounds alike everywhere; matrix products are of whole
numbers, so that their order does not matter; and HuffYUV loses nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from ptv_hub.errors import WriteError
from ptv_hub.files import atomic_write

CLASSES = ("down", "in", "left", "out", "right", "up")
"""In the order of their folders, which is that of the labels."""
SPLITS = ("train", "val", "test")
RATE = 15
"""Frames a second."""
FRAMES = 30
"""Of one video: 2 s."""
HEIGHT, WIDTH = 40, 56
EASE = {"val": 0.25, "test": 0.4}
"""Of the videos that are not to be trained on; see ``draw``."""

_WAYS = {
    "left": (0, -1),
    "right": (0, 1),
    "up": (1, -1),
    "down": (1, 1),
    "out": (2, -1),
    "in": (2, 1),
}
"""Along which of x (to the right), y (downwards) and nearness, and which way."""
_SPOTS = 70
_FIELD = 80.0
"""Side of the square, in pixels at scale 1, in which the spots lie; it goes on from its edges."""
_DEPTH = 36.0
"""Its depth, in the same unit: spots are drawn at a scale of 0.6 (far) to 1.6 (near)."""
_SPEED = (12.0, 28.0)
"""Pixels a second at scale 1."""
_TO_AND_FRO = (0.4, 0.9)
"""Seconds there and back."""
_RADIUS = (1.5, 3.2)
_CONTRAST = (30.0, 80.0)
_EASED = 40.0
"""Contrast on top of the easiest."""
_NOISE = (3.0, 9.0)
"""Standard deviation, of values from 0 to 255."""

Array = NDArray[Any]


class Dice:
    """Random numbers of a seed, the same in all releases of numpy."""

    def __init__(self, *seed: int) -> None:
        # Not a Generator: its streams may change from one release of numpy to the next.
        self._bits = np.random.PCG64(np.random.SeedSequence(seed))

    def between(self, span: tuple[float, float]) -> float:
        low, high = span
        return low + (high - low) * ((self._bits.random_raw() >> 11) * 2.0**-53)

    def places(self, count: int) -> Array:
        """``count`` numbers from 0 to under 1."""
        places: Array = (self._bits.random_raw(count) >> np.uint64(11)) * 2.0**-53
        return places

    def noise(self, *shape: int) -> Array:
        """Mean 0, standard deviation 1: each the sum of four numbers, normal enough."""
        raw = self._bits.random_raw(int(np.prod(shape)))
        parts = [(raw >> np.uint64(16 * part)) & np.uint64(0xFFFF) for part in range(4)]
        total = (parts[0] + parts[1] + parts[2] + parts[3]).astype(np.float64)
        noise: Array = (total - 131070.0).reshape(shape) / 37837.0
        return noise


def draw(labels: Sequence[str], dice: Dice, *, frames: int = FRAMES, ease: float = 0.0) -> Array:
    """One video, uint8 RGB, shape (T, H, W, 3), ``RATE`` frames a second.

    Args:
        labels: a motion, or several that follow each other over the same field of spots.
        frames: of each motion.
        ease: 0 to 1; less of going to and fro, less noise, more contrast. Who is to learn the
            task from nothing needs easier videos among those to learn from.
    """
    field = dice.places(3 * _SPOTS).reshape(3, _SPOTS, 1)
    gone = _gone(labels, dice, frames, 1.0 - ease)[:, None]  # (3, 1, T)
    depth = _around(field[2] + gone[2] / _DEPTH)  # (spots, T)
    scale = 0.6 + depth
    x, y = ((_around(field[way] + gone[way] / _FIELD) - 0.5) * _FIELD * scale for way in (0, 1))
    radius = dice.between(_RADIUS) * scale
    # Where the field begins anew, spots are faint: none appears or goes all at once.
    faint = np.minimum(1.0, 4.0 * np.minimum(depth, 1.0 - depth))
    rows = np.rint(_bump(y, radius, HEIGHT) * faint[..., None])
    columns = _bump(x, radius, WIDTH)
    light = np.matmul(rows.transpose(1, 2, 0), columns.transpose(1, 0, 2)) / 255.0**2
    ground = np.array([dice.between((70.0, 185.0)) for _ in range(3)])
    sign = 1.0 if dice.between((0.0, 1.0)) < 0.5 else -1.0
    contrast = sign * (dice.between(_CONTRAST) + _EASED * ease)
    colour = contrast * np.array([dice.between((0.5, 1.0)) for _ in range(3)])
    grain = (1.0 - ease) * dice.between(_NOISE) * dice.noise(*light.shape)
    video = ground + np.minimum(light, 1.0)[..., None] * colour + grain[..., None]
    drawn: Array = np.clip(video, 0.0, 255.0).astype(np.uint8)
    return drawn


def _gone(labels: Sequence[str], dice: Dice, frames: int, to_and_fro: float) -> Array:
    """How far the field has moved in each of the three ways at each frame, (3, T)."""
    times = np.arange(frames) / RATE
    parts, start = [], np.zeros((3, 1))
    for label in labels:
        along, sign = _WAYS[label]
        ways = []
        for way in range(3):
            speed, period = dice.between(_SPEED), dice.between(_TO_AND_FRO)
            turn = dice.between((0.0, 1.0)) + times / period
            back = to_and_fro * speed * period / 2.0 * np.abs(2.0 * _around(turn) - 1.0)
            ways.append(sign * speed * times if way == along else back)
        parts.append(start + np.stack(ways))
        start = parts[-1][:, -1:]
    return np.concatenate(parts, axis=1)


def _around(turns: Array) -> Array:
    """What is over whole turns."""
    return turns - np.floor(turns)


def _bump(at: Array, radius: Array, count: int) -> Array:
    """A spot's light along one side of the frame, (spots, T, count): whole numbers to 255."""
    pixels = np.arange(count) + 0.5 - count / 2.0
    away = (pixels - at[..., None]) / radius[..., None]
    return np.rint(255.0 * np.maximum(0.0, 1.0 - away * away))


def video(split: str, label: str, number: int, *, seed: int = 0) -> Array:
    """One video of a data set, as ``draw``; those to train on are of any ease."""
    dice = Dice(seed, SPLITS.index(split), CLASSES.index(label), number)
    return draw([label], dice, ease=EASE.get(split) or dice.between((0.0, 1.0)))


def write(path: str | os.PathLike[str], frames: Array, *, zoom: int = 1) -> None:
    """Write a video: as HuffYUV, which loses nothing, into ``.avi``, or as H.264 into ``.mp4``.

    ``zoom``: draw each pixel as a square of so many.

    Raises:
        WriteError: it cannot be written.
    """
    frames = frames.repeat(zoom, axis=1).repeat(zoom, axis=2)
    lossless = Path(path).suffix == ".avi"
    with (
        atomic_write(path) as temporary,
        av.open(str(temporary), "w", format="avi" if lossless else "mp4") as container,
    ):
        stream = container.add_stream("huffyuv" if lossless else "libx264", rate=Fraction(RATE))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "rgb24" if lossless else "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def write_split(
    folder: Path,
    split: str,
    count: int,
    *,
    seed: int = 0,
    on_video: Callable[[], object] | None = None,
) -> None:
    """``count`` videos of each class, as ``folder/train/left/0000.avi``.

    ``on_video`` is called after each. Raises as ``write``.
    """
    for label in CLASSES:
        part = folder / split / label
        try:
            part.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError.because(error, part) from error
        for number in range(count):
            write(part / f"{number:04d}.avi", video(split, label, number, seed=seed))
            if on_video is not None:
                on_video()


def write_all(folder: Path, *, train: int, val: int, seed: int = 0) -> None:
    """A data set to train on: ``train`` and ``val`` videos of each class. Raises as ``write``."""
    write_split(folder, "train", train, seed=seed)
    write_split(folder, "val", val, seed=seed)
