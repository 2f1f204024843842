"""The processes of a run, as Linux tells of them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def family(process: int) -> list[int]:
    """A process and all that it, or one of them, started.

    torchrun gives each rank a session of its own: its process group is not all of it.
    """
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    found = [process]
    for one in found:
        found += children.get(one, [])
    return found
