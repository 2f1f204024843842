"""The sound of a video on its way into another file: copied, or encoded anew where it must be."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer

from ptv_hub.inference.frames import plain
from ptv_hub.inference.streams import open_container

_COPIED = frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"})
"""Codecs that stand in an MP4 as they are; others become AAC."""
_RATES = frozenset(
    {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000}
)
"""Of AAC."""
_LEAD = Fraction(1, 5)
"""Seconds by which sound may begin before the first frame, as encoders' filling does."""


class Sound:
    """All sound of a file, packet by packet, in step with the frames that are written."""

    def __init__(self, file: Path | bytes | None, name: str, output: OutputContainer) -> None:
        """``file``: ``None`` where there is none, and no sound."""
        self._input: InputContainer | None = None if file is None else open_container(file, name)
        streams = () if self._input is None else self._input.streams.audio
        self._streams = [stream for stream in streams if stream.codec_context is not None]
        self._output = output
        self._to: dict[int, Any] = {}
        self.notes: list[str] = []
        for stream in self._streams:
            codec = stream.codec_context.name.removesuffix("float")
            if codec in _COPIED:
                self._to[stream.index] = output.add_stream_from_template(stream)
            else:
                rate = stream.codec_context.rate
                made = output.add_stream("aac", rate=rate if rate in _RATES else 48000)
                made.codec_context.layout = (
                    "mono" if stream.codec_context.channels == 1 else "stereo"
                )
                self._to[stream.index] = made
                self.notes.append(f"the sound, {codec}, is encoded anew as AAC")
        self._packets = self._read()
        self._next: av.Packet[Any] | None = None

    def begin(self) -> Fraction | None:
        """Seconds of the file at which sound begins; ``None`` without any."""
        times = [
            Fraction(stream.start_time * stream.time_base)
            for stream in self._streams
            if stream.start_time is not None and stream.time_base is not None
        ]
        return min(times, default=None)

    def until(self, second: Fraction | None, origin: Fraction) -> None:
        """Write what is heard before a second of the file (``None``: all that is left)."""
        while True:
            packet = self._next or next(self._packets, None)
            self._next = None
            if packet is None:
                return
            time = Fraction(packet.dts or packet.pts or 0) * packet.time_base
            if second is not None and time > second:
                self._next = packet
                return
            if time >= origin - _LEAD:
                self._write(packet, origin)

    def end(self, origin: Fraction) -> None:
        """Write the rest, and close the file."""
        self.until(None, origin)
        for stream in self._streams:
            if stream.codec_context.name.removesuffix("float") not in _COPIED:
                self._output.mux(self._to[stream.index].encode(None))
        self.close()

    def close(self) -> None:
        if self._input is not None:
            self._input.close()
            self._input = None

    def _read(self) -> Iterator[av.Packet[Any]]:
        if not self._streams or self._input is None:
            return
        try:
            for packet in self._input.demux(self._streams):
                if packet.size and (packet.dts is not None or packet.pts is not None):
                    yield packet
        except av.error.FFmpegError as error:
            self.notes.append(f"the sound ends early: {plain(error)}")

    def _write(self, packet: av.Packet[Any], origin: Fraction) -> None:
        stream, to = packet.stream, self._to[packet.stream.index]
        shift = round(origin / packet.time_base)
        if stream.codec_context.name.removesuffix("float") in _COPIED:
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = None if packet.dts is None else packet.dts - shift
            packet.stream = to
            self._output.mux(packet)
            return
        try:
            frames = stream.codec_context.decode(packet)
        except av.error.FFmpegError as error:
            self.notes.append(f"a part of the sound is lost: {plain(error)}")
            return
        for frame in frames:
            if frame.pts is not None:
                frame.pts -= round(origin / frame.time_base)
            self._output.mux(to.encode(frame))
