"""When the frames of a video are shown, and how long that takes. Pure."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction

from ptv_hub.errors import UsageError


@dataclass(frozen=True, slots=True)
class Timestamps:
    """When the frames of one video are shown."""

    pts: tuple[int, ...]
    """Of each frame in order of presentation, in ticks; strictly rising."""
    time_base: Fraction
    """Seconds a tick."""
    start: int
    """The tick of time zero."""
    duration: Fraction
    """Seconds from time zero to the end of what is shown."""
    rate: Fraction | None = None
    """Frames per second where they are stamped at a rate (a folder, an array); else ``None``."""
    reference: tuple[int, Fraction] | None = None
    """Start and duration by the reference's formula, where they are not those of what is shown."""

    @classmethod
    def regular(cls, num_frames: int, rate: Fraction | float) -> Timestamps:
        """``num_frames`` frames stamped at ``rate`` frames per second, the first at zero."""
        if num_frames < 1 or not math.isfinite(rate) or rate <= 0:
            raise UsageError(
                "frames cannot be stamped",
                expected="one frame or more, at a positive rate",
                found=f"{num_frames} frames at {rate} a second",
            )
        exact = Fraction(rate).limit_denominator(1_000_000)
        return cls(tuple(range(num_frames)), 1 / exact, 0, num_frames / exact, exact)

    @classmethod
    def of_stream(
        cls,
        pts: tuple[int, ...],
        base: Fraction,
        *,
        start: int,
        stated: int | None,
        damaged: bool = False,
    ) -> Timestamps:
        """Of a file whose container states a start and a duration, both in ticks.

        The reference takes ``stated - start`` for the duration, or where none is stated the
        time of the last frame. That leaves out the last frame at most, and is kept, unless the
        stream does not start at zero: then its end is lost, or all of it.

        Args:
            damaged: what the container states is no longer so; the frames alone tell.
        """
        theirs = (pts[-1] if stated is None else stated) - start
        gaps = sorted(b - a for a, b in itertools.pairwise(pts))
        gap = gaps[len(gaps) // 2] if gaps else 0
        outside = sum(not start <= tick < start + theirs for tick in pts)
        late = pts[0] - start > gap
        if outside <= 1 and not late and not damaged:
            return cls(pts, base, start, max(theirs, 0) * base)
        first = pts[0] if late or pts[0] < start else start
        span = pts[-1] + gap - first
        if stated is not None and not damaged:
            span = max(span, start + stated - first)  # the last frame may be shown for long
        return cls(
            pts, base, first, span * base, reference=None if damaged else (start, theirs * base)
        )

    @property
    def seconds(self) -> tuple[float, ...]:
        """The time of each frame."""
        return tuple(float((tick - self.start) * self.time_base) for tick in self.pts)
