"""Whether the network may be used."""

from __future__ import annotations

import os

OFFLINE_VARIABLES = ("PTV_HUB_OFFLINE", "HF_HUB_OFFLINE")


def forbidden_by() -> str | None:
    """The variable that forbids the network; ``None`` where none does."""
    return next((name for name in OFFLINE_VARIABLES if is_set(name)), None)


def is_set(variable: str) -> bool:
    """Whether an environment variable says yes."""
    return os.environ.get(variable, "").strip().lower() in ("1", "true", "yes", "on")
