"""What a page shows of a video: the video itself, and stills of it."""

from __future__ import annotations

import bisect
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ptv_hub.inference.video import Source, open_video
from ptv_hub.pages.page import data_url

KINDS = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm"}
"""Endings of the files that browsers play, and what they are."""

EMBEDDED = 400_000
"""Bytes up to which a video is put into the page itself."""


def address(source: Source, page: Path, *, embedded: int = EMBEDDED) -> str | None:
    """Where a page at this path finds the video: within itself if it is small, else beside it.

    ``None`` of what is no local file, or none that browsers play. ``embedded``: bytes up to which
    it counts as small.
    """
    if not isinstance(source, (str, os.PathLike)):
        return None
    file = Path(source)
    kind = KINDS.get(file.suffix.lower())
    try:
        if kind is None or not file.is_file():
            return None
        if file.stat().st_size <= embedded:
            return data_url(file.read_bytes(), kind)
        return quote(Path(os.path.relpath(file.resolve(), page.resolve().parent)).as_posix())
    except (OSError, ValueError):  # gone meanwhile, a strange name, or another drive
        return None


def stills(
    source: Source,
    shares: Sequence[float],
    size: tuple[int, int],
    *,
    duration: float | None = None,
    fps: float | None = None,
    allow_broken: bool = False,
) -> list[Any]:
    """Pillow images of the frames at these shares of a video's length, cut to one size.

    Raises:
        VideoError: it cannot be read.
    """
    from PIL import Image, ImageOps

    with open_video(source, fps=fps, allow_broken=allow_broken) as opened:
        seconds = opened.timestamps.seconds
        length = float(opened.timestamps.duration) if duration is None else duration
        places = [max(bisect.bisect_right(seconds, at * length) - 1, 0) for at in shares]
        small = {
            place: ImageOps.fit(Image.fromarray(frame), size)
            for place, frame in opened.frames(set(places))
        }
    return [small[place] for place in places]


def jpeg(image: Any) -> str:
    """A Pillow image as an address within a page."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return data_url(file.getvalue(), "image/jpeg")


def preview(source: Source, size: tuple[int, int]) -> str:
    """The video's beginning, small and without sound, as a video within a page (H.264).

    For files that browsers do not play, and folders of frames.

    Raises:
        VideoError: it cannot be read.
    """
    import av
    import numpy as np
    from PIL import Image, ImageOps

    file = io.BytesIO()
    with open_video(source) as opened, av.open(file, "w", format="mp4") as container:
        seconds = [float(at) for at in opened.timestamps.seconds]
        wanted = [n / _RATE for n in range(int(_LONGEST * _RATE))]
        places = [bisect.bisect_right(seconds, at) - 1 for at in wanted if at <= seconds[-1]]
        frames = dict(opened.frames({max(place, 0) for place in places}))
        stream: Any = container.add_stream("libx264", rate=_RATE, options={"crf": "30"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for place in places:
            image = ImageOps.fit(Image.fromarray(frames[max(place, 0)]), size)
            frame = av.VideoFrame.from_ndarray(np.asarray(image), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return data_url(file.getvalue(), "video/mp4")


_RATE = 8
"""Frames a second of a preview."""
_LONGEST = 4.0
"""Seconds of a preview."""
