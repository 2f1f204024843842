"""How far a run is, for who watches it: videos, windows a second, hours of video an hour."""

from __future__ import annotations

import sys
import time
from typing import Any


class Progress:
    """A bar on stderr; a context manager."""

    def __init__(self, total: int, *, done: int = 0, show: bool = True) -> None:
        self._total, self._done, self._show = total, done, show
        self._started = time.monotonic()
        self._windows, self._seconds, self._failed = 0, 0.0, 0
        self._bar: Any = None

    def __enter__(self) -> Progress:
        from tqdm.auto import tqdm

        self._bar = tqdm(
            total=self._total,
            initial=self._done,
            unit="video",
            disable=not self._show,
            file=sys.stderr,
            dynamic_ncols=True,
            smoothing=0.05,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def add(self, windows: int, seconds: float, finished: int, *, failed: bool = False) -> None:
        """A video of so many windows and seconds; ``finished``: how many are, by all ranks."""
        self._windows += windows
        self._seconds += seconds
        self._failed += failed
        self._bar.set_postfix_str(self.told(time.monotonic() - self._started), refresh=False)
        self.skip(finished)

    def skip(self, finished: int) -> None:
        """A video that was done before."""
        self._bar.update(self._done + finished - self._bar.n)

    def told(self, passed: float) -> str:
        """What stands behind the bar after ``passed`` seconds."""
        passed = max(passed, 1e-9)
        words = [
            f"{self._windows / passed:.1f} windows/s",
            f"{self._seconds / passed:.2f} hours of video/h",
        ]
        return ", ".join([*words, *([f"failed {self._failed}"] if self._failed else [])])

    def clear(self) -> None:
        """Make room for a line of somebody else."""
        self._bar.clear()
