"""SIGTERM, as schedulers and containers send it: a request to write a checkpoint and end."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from ptv_hub.errors import Terminated


class Stop:
    """Whether this process was asked to end; a context manager.

    The request waits until the run comes to a place where it can be met. A second one ends the
    process as SIGTERM always did.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():  # others take no signals
            self._before = signal.signal(signal.SIGTERM, self._ask)
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGTERM, self._before or signal.SIG_DFL)

    def __exit__(self, *_: object) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._before or signal.SIG_DFL)

    def check(self) -> None:
        """Raises Terminated if the process was asked to end and nothing is to be written."""
        if self.asked:
            raise Terminated("ended by SIGTERM", fix="the same command goes on where it was")
