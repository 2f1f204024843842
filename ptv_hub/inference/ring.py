"""The newest frames of a stream, between the thread that decodes and the one that asks a model.

Windows lie over the stream as over a file: one begins each stride, from the first frame on. The
newest whole one is taken, and those before it are passed over, unless every one is asked for.
What is kept is bounded by a window's length, however long the stream lasts. Pure but for a lock:
no video, no clock.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass
from fractions import Fraction

from torch import Tensor

_NOTHING = Fraction(1, 1_000_000)
"""Seconds that an end may lie before a window's: ticks are rounded."""


@dataclass(frozen=True)
class Stretch:
    """Frames without a gap: of one connection, say."""

    base: Fraction
    """Seconds a tick."""
    first: int
    """The tick of its first frame."""
    begin: Fraction
    """Seconds of the stream at which that is."""


@dataclass(frozen=True)
class Taken:
    """A window, and the frames that lie in it."""

    stretch: Stretch
    start: Fraction
    """Seconds from the stretch's first frame."""
    ticks: tuple[int, ...]
    frames: tuple[Tensor, ...]
    skipped: int
    """Windows between this and the one before that was taken."""
    dropped: int
    """Frames since then that no window was taken for."""
    behind: Fraction
    """Seconds from the window's end to the newest frame."""


@dataclass
class _Held:
    tick: int
    time: Fraction
    pixels: Tensor
    taken: bool = False


class Ring:
    """The frames that a window to come may need, and the windows that are whole."""

    def __init__(
        self, length: Fraction, stride: Fraction, closest: Fraction, *, every: bool
    ) -> None:
        """
        Args:
            length, stride: of windows, seconds.
            closest: frames that come sooner after another, in seconds, are passed over.
            every: take every window; what adds frames waits meanwhile.
        """
        self._length, self._stride, self._closest, self._every = length, stride, closest, every
        self._changed = threading.Condition()
        self._held: deque[_Held] = deque()
        self._stretch: Stretch | None = None
        self._reached = Fraction(-1)
        self._gap = Fraction(1, 30)
        self._next = 0
        self._dropped = 0
        self._ended = False
        self._error: Exception | None = None
        self.stopped = threading.Event()

    # ------------------------------------------------------------------ who decodes

    def begin(self, base: Fraction, tick: int, begin: Fraction) -> None:
        """A new stretch: no window lies over its beginning."""
        with self._changed:
            self._stretch = Stretch(base, tick, begin)
            self._held.clear()
            self._reached, self._next = Fraction(-1), 0

    def wants(self, tick: int) -> bool:
        """Whether a frame of this tick is one to add: not too close, and not between windows."""
        with self._changed:
            time = self._time(tick)
            if self._reached >= 0 and time - self._reached < self._closest:
                return False
            between = self._stride > self._length and time % self._stride >= self._length
            if between:  # it still says how far the stream is
                self._reach(time)
            return not between

    def add(self, tick: int, pixels: Tensor) -> None:
        """Keep a frame; where every window is taken, wait until a whole one has been."""
        with self._changed:
            time = self._time(tick)
            self._held.append(_Held(tick, time, pixels))
            self._reach(time)
            while self._every and self._whole() > self._next and not self.stopped.is_set():
                self._changed.wait(0.5)

    def end(self, error: Exception | None = None) -> None:
        """There are no more frames: the last is shown as long as the one before it was."""
        with self._changed:
            if self._reached >= 0:
                self._reached += self._gap + _NOTHING
            self._ended, self._error = True, error
            self._changed.notify_all()

    @property
    def is_new(self) -> bool:
        """Whether no stretch has begun yet."""
        return self._stretch is None

    @property
    def end_of_stretch(self) -> Fraction:
        """Seconds of the stream at which the newest stretch ends so far."""
        with self._changed:
            if self._stretch is None:
                return Fraction(0)
            return self._stretch.begin + max(self._reached + self._gap, Fraction(0))

    # ------------------------------------------------------------------ who asks the model

    def take(self) -> Taken | None:
        """The next window, waited for; ``None`` when there will be none.

        Raises:
            Exception: what ``end`` was told of, when all whole windows have been taken.
        """
        with self._changed:
            while self._whole() <= self._next and not self._ended and not self.stopped.is_set():
                self._changed.wait(0.5)  # within which a signal is heard on every system
            if self.stopped.is_set():
                return None
            if self._whole() <= self._next:
                if self._error is not None:
                    raise self._error
                return None
            return self._taken()

    def stop(self) -> None:
        """Let both sides end."""
        self.stopped.set()
        with self._changed:
            self._changed.notify_all()

    @property
    def count(self) -> int:
        """Frames that are held."""
        return len(self._held)

    # ------------------------------------------------------------------ within the lock

    def _taken(self) -> Taken:
        assert self._stretch is not None
        number = self._next if self._every else self._whole() - 1
        start = number * self._stride
        end = start + self._length
        within = [one for one in self._held if start <= one.time < end]
        if not within:  # none is new: the one on display stands in
            within = [one for one in self._held if one.time < start][-1:] or [self._held[0]]
        for one in within:
            one.taken = True
        skipped, self._next = number - self._next, number + 1
        self._forget()
        dropped, self._dropped = self._dropped, 0
        self._changed.notify_all()
        return Taken(
            self._stretch,
            start,
            tuple(one.tick for one in within),
            tuple(one.pixels for one in within),
            skipped,
            dropped,
            max(self._reached - end, Fraction(0)),
        )

    def _time(self, tick: int) -> Fraction:
        assert self._stretch is not None
        return (tick - self._stretch.first) * self._stretch.base

    def _reach(self, time: Fraction) -> None:
        if self._reached >= 0:
            self._gap = time - self._reached
        self._reached = time
        self._forget()
        self._changed.notify_all()

    def _whole(self) -> int:
        """How many windows of the stretch are whole."""
        past = self._reached - self._length
        return max(0, math.floor(past / self._stride) + 1) if past >= 0 else 0

    def _forget(self) -> None:
        """Let go of what no window to come needs, but for the frame on display before them."""
        whole = self._whole()
        following = whole - 1 if whole > self._next and not self._every else self._next
        needed = following * self._stride
        while len(self._held) > 1 and self._held[1].time <= needed:
            gone = self._held.popleft()
            self._dropped += not gone.taken
