"""A video with what a model says of it: labels and bars over its frames, its sound and its times.

MP4 (H.264, by PyAV), or a small GIF (by Pillow) for a page that shows no videos.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
import torch
from av.container import OutputContainer
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream

from ptv_hub.errors import UsageError, VideoError, WriteError
from ptv_hub.files import atomic_write, ready_file, refuse_existing
from ptv_hub.inference.frames import UNSPECIFIED, Frame, Video, plain
from ptv_hub.inference.overlay import Panel, lay, panel
from ptv_hub.inference.predict import ready_model, said_of_weights
from ptv_hub.inference.sliding import AtTime, Seen, Wanted, slide, sliding_windows
from ptv_hub.inference.sound import Sound
from ptv_hub.inference.video import Source, open_video
from ptv_hub.models.builders import ActionModel
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.records import Record

FORMATS = (".mp4", ".gif")
_ENCODER = {"crf": "18", "preset": "veryfast"}
_GIF_WIDTH, _GIF_RATE, _GIF_FRAMES, _GIF_COLOURS = 320, 5, 150, 64
_MATRICES = {1: Colorspace.ITU709, 5: Colorspace.ITU601, 6: Colorspace.SMPTE170M}
"""FFmpeg's codes of those that frames can be brought back to."""


class Annotated(Record):
    """A video that was written, and what is said in it."""

    file: str
    """Where it was written."""
    model: str
    """The entry's name."""
    windows: tuple[Seen, ...]
    """In order of time; a frame shows the one whose middle is nearest to it."""
    frames: int
    """How many were written."""
    notes: tuple[str, ...] = ()
    """What was wrong with the video, or differs from it, in words."""


def annotate(
    model: ActionModel | Entry | str | os.PathLike[str],
    video: Source,
    out: str | os.PathLike[str],
    *,
    window: object = None,
    stride: object = None,
    top_k: int | None = None,
    threshold: float | None = None,
    weights: str | os.PathLike[str] | None = None,
    any_weights: bool = False,
    fps: float | None = None,
    allow_broken: bool = False,
    batch_views: int = 1,
    device: str | torch.device | None = None,
    overwrite: bool = False,
) -> Annotated:
    """Write a video with the best classes of a sliding window over its frames.

    Size, times of the frames and sound stay; a video that players turn is written turned; an odd
    width or height has its last row or column twice, since MP4 has even ones. A GIF has no sound,
    a width of 320 pixels and 5 frames a second at most, and 150 frames however long the video is.

    Args:
        model, video: as for ``predict``.
        out: ends in ``.mp4`` or ``.gif``.
        window: length, in frames (32) or seconds ("2s"); the published clip's if not given, and
            four seconds for a model that sees whole videos in one clip.
        stride: from one window's start to the next; half of the window if not given.
        top_k, threshold: as for ``predict``; over a frame stand as many as half of it holds.
        weights, any_weights, fps, allow_broken, batch_views, device: as for ``predict``.
        overwrite: replace a file that is there.

    Raises:
        UsageError: another suffix, or lengths that are not understood.
        VideoError: as ``predict``.
        WriteError: the file cannot be written, or is there.
    """
    path = Path(out)
    if top_k is not None and top_k < 1:
        raise UsageError("no classes asked for", expected="top_k of 1 or more", found=top_k)
    sources = [video] if isinstance(video, (str, os.PathLike)) else []
    ready_to_annotate(path, overwrite, sources)
    net = ready_model(model, weights, any_weights=any_weights, device=device)
    wanted = Wanted(sliding_windows(net.entry.input, window, stride), top_k, threshold)
    with open_video(video, fps=fps, allow_broken=allow_broken) as opened:
        seen, notes = slide(net, opened, wanted, batch_views)
        gif = path.suffix.lower() == ".gif"
        drawing = _Drawing(opened, seen, _GIF_WIDTH if gif else None, every=threshold is not None)
        write = _write_gif if gif else _write_video
        try:
            with atomic_write(path) as temporary:
                frames, differs = write(temporary, opened, drawing)
        except av.error.FFmpegError as error:  # of a frame that cannot be read it is a VideoError
            raise WriteError(
                "the annotated video could not be written", where=path, found=plain(error)
            ) from error
        said = (*said_of_weights(net), *opened.notes, *notes, *differs)
    told = tuple(note for note in dict.fromkeys(said) if not note.startswith("rotation metadata"))
    return Annotated(file=str(path), model=net.entry.name, windows=seen, frames=frames, notes=told)


def ready_to_annotate(
    path: Path, overwrite: bool, sources: Sequence[str | os.PathLike[str]] = ()
) -> None:
    """See that a video can be written under this name, before what it shows is computed.

    Raises:
        UsageError: another suffix.
        WriteError: as ``refuse_existing`` and ``ready_file``.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError("a video of another kind", where=path, expected=" or ".join(FORMATS))
    refuse_existing(path, overwrite, sources=sources)
    ready_file(path)


class _Drawing:
    """Frames as they are shown, with the panel of their time over them."""

    def __init__(
        self, video: Video, seen: Sequence[Seen], widest: int | None = None, *, every: bool = False
    ) -> None:
        """``every``: say so where not all labels have room."""
        self._seen, self._at, self._widest, self._every = seen, AtTime(seen), widest, every
        self._turns = round(video.shown.rotation / 90) % 4
        self.notes: list[str] = []
        if video.shown.rotation % 90:
            self.notes.append(f"turned by {90 * self._turns}, not {video.shown.rotation} degrees")
        self._panel = lru_cache(maxsize=2)(self._drawn)

    def __call__(self, frame: Frame, second: float) -> Frame:
        turned = np.ascontiguousarray(np.rot90(frame, self._turns))
        if self._widest is not None and turned.shape[1] > self._widest:
            turned = _smaller(turned, self._widest)
        height, width = turned.shape[:2]
        window = self._at(second) if self._seen else None
        return lay(turned, None if window is None else self._panel(window, width, height))

    def _drawn(self, window: int, width: int, height: int) -> Panel | None:
        said = self._seen[window].predictions
        made = panel(said, width, height)
        rows = 0 if made is None else made.rows
        if rows < len(said) and (self._every or not rows):
            room = f"room for {rows} labels of a window" if rows else "no room for labels"
            note = f"frames of {width} x {height} have {room}"
            self.notes += [] if note in self.notes else [note]
        return made

    @property
    def sideways(self) -> bool:
        return self._turns % 2 == 1


def _smaller(frame: Frame, width: int) -> Frame:
    from PIL import Image

    height = max(1, round(frame.shape[0] * width / frame.shape[1]))
    resized = Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(resized, np.uint8)


def _write_video(path: Path, video: Video, drawing: _Drawing) -> tuple[int, list[str]]:
    """Write an MP4; how many frames it has, and what there is to say of it."""
    stamps, count = video.timestamps, 0
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as output:
        stream = output.add_stream("libx264", rate=_rate(video), options=_ENCODER)
        with closing(Sound(video.file, video.name, output)) as sound:
            origin = _origin(video, sound)
            shift = round(origin / stamps.time_base)
            for pts, frame in _in_order(video, drawing):
                if count == 0:
                    _set_up(stream, video, frame.shape, drawing)
                sound.until(pts * stamps.time_base, origin)
                _encode(output, stream, frame, pts - shift)
                count += 1
            output.mux(stream.encode(None))
            sound.end(origin)
    return count, [*drawing.notes, *sound.notes]


def _origin(video: Video, sound: Sound) -> Fraction:
    """Seconds of the video's file that become zero: its first frame, or sound well before it."""
    first = video.timestamps.start * video.timestamps.time_base
    begin = sound.begin()
    return first if begin is None or first - begin <= Fraction(1, 10) else begin


def _in_order(video: Video, drawing: _Drawing) -> Iterator[tuple[int, Frame]]:
    """(time stamp, drawn frame) of each frame; none is given that comes after a later one."""
    stamps, last = video.timestamps, -1
    for place, frame in video.frames(range(len(stamps.pts))):
        if place > last:
            last = place
            pts = stamps.pts[place]
            yield pts, drawing(frame, float((pts - stamps.start) * stamps.time_base))


def _rate(video: Video) -> Fraction:
    """Frames a second, the mean: what a file states; each frame has its own time all the same."""
    stamps = video.timestamps
    if stamps.rate is not None:
        return stamps.rate
    span = (stamps.pts[-1] - stamps.pts[0]) * stamps.time_base
    if len(stamps.pts) < 2 or span <= 0:
        return Fraction(30)
    return Fraction((len(stamps.pts) - 1) / span).limit_denominator(1001)


def _set_up(stream: VideoStream, video: Video, shape: tuple[int, ...], drawing: _Drawing) -> None:
    height, width = shape[:2]
    stream.height, stream.width = height + height % 2, width + width % 2
    if (stream.height, stream.width) != (height, width):
        drawing.notes.append(f"{width} x {height} became {stream.width} x {stream.height}")
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.time_base = video.timestamps.time_base
    aspect = video.shown.aspect
    context.sample_aspect_ratio = 1 / aspect if drawing.sideways else aspect
    matrix, primaries, transfer = video.shown.colours
    # Of an unknown matrix the frames' own numbers come back, and nothing is said again.
    context.colorspace = matrix if matrix in (*_MATRICES, UNSPECIFIED) else 1
    context.color_primaries, context.color_trc = primaries, transfer


def _encode(output: OutputContainer, stream: VideoStream, pixels: Frame, pts: int) -> None:
    height, width = pixels.shape[:2]
    even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    frame = av.VideoFrame.from_ndarray(even, format="rgb24")
    matrix = _MATRICES.get(stream.codec_context.colorspace)
    frame = frame.reformat(format="yuv420p", dst_colorspace=matrix)
    frame.pts, frame.time_base = pts, stream.codec_context.time_base
    output.mux(stream.encode(frame))


def _write_gif(path: Path, video: Video, drawing: _Drawing) -> tuple[int, list[str]]:
    """Write a GIF; how many frames it has, and what there is to say of it."""
    from PIL import Image

    stamps = video.timestamps
    rate = min(_GIF_RATE, _GIF_FRAMES / max(float(stamps.duration), 1 / _GIF_RATE))
    taken: dict[int, int] = {}  # tick -> the first frame within it
    for place, second in enumerate(stamps.seconds):
        taken.setdefault(int(second * rate + 1e-6), place)
    pictures, ticks = [], list(taken)
    for place, frame in video.frames(taken.values()):
        drawn = Image.fromarray(drawing(frame, stamps.seconds[place]))
        # An octree leaves the few pixels of a bar their own colour; a median cut does not.
        octree = Image.Quantize.FASTOCTREE
        pictures.append(drawn.quantize(_GIF_COLOURS, octree, dither=Image.Dither.NONE))
    if not pictures:
        raise VideoError("no frame of the video can be decoded", where=video.name)
    ends = [*ticks[1 : len(pictures)], ticks[len(pictures) - 1] + 1]
    times = [round(100 * tick / rate) * 10 for tick in [ticks[0], *ends]]  # milliseconds
    pictures[0].save(
        path,
        format="GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=[b - a for a, b in itertools.pairwise(times)],
        loop=0,
    )
    if rate < _GIF_RATE:
        drawing.notes.append(f"{rate:.2g} frames a second, as the video is long")
    return len(pictures), drawing.notes
