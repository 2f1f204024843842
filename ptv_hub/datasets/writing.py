"""Lists as PySlowFast reads them."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable

from ptv_hub.datasets.listing import Frames, Item
from ptv_hub.files import atomic_write


def write_frame_list(
    path: str | os.PathLike[str], videos: Iterable[tuple[str, Frames, tuple[int, ...]]]
) -> None:
    """Write ids, frames and labels as a frame list; labels stand at each frame.

    Raises:
        WriteError: it cannot be written.
    """
    with atomic_write(path) as temporary, open(temporary, "w", newline="") as file:
        # The header's spelling is PySlowFast's and PyTorchVideo's.
        file.write("original_vido_id video_id frame_id path labels\n")
        for number, (item_id, frames, labels) in enumerate(videos):
            said = ",".join(map(str, labels))
            for frame_id, name in enumerate(frames.paths()):
                file.write(f'{item_id} {number} {frame_id} {name} "{said}"\n')


def write_list(path: str | os.PathLike[str], items: Iterable[Item]) -> None:
    """Write ``path label`` lines; with commas where a path holds a blank.

    Raises:
        WriteError: it cannot be written.
    """
    rows = [(item.id, str(item.labels[0])) for item in items]
    blanks = any(len(name.split()) > 1 for name, _ in rows)
    with atomic_write(path) as temporary, open(temporary, "w", newline="") as file:
        if blanks:
            csv.writer(file, lineterminator="\n").writerows(rows)
        else:
            file.writelines(f"{name} {label}\n" for name, label in rows)
