"""OpenVINO and NNCF without their telemetry.

Both send what they are used for to their makers' analytics, in the background and unasked,
wherever ``openvino_telemetry`` can be imported. While they are imported here it cannot: both then
take the stub that they have for that case. Who imported OpenVINO before keeps what it chose.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_TELEMETRY = "openvino_telemetry"


def openvino() -> Any:
    """The module. Raises ImportError, if it is not installed."""
    return _imported("openvino")


def nncf() -> Any:
    """The module. Raises ImportError, if it is not installed."""
    openvino()
    return _imported("nncf")


def _imported(name: str) -> Any:
    if name in sys.modules:
        return sys.modules[name]
    with _without_telemetry():
        return importlib.import_module(name)


@contextmanager
def _without_telemetry() -> Iterator[None]:
    there = sys.modules.pop(_TELEMETRY, None)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_TELEMETRY]
        if there is not None:
            sys.modules[_TELEMETRY] = there
