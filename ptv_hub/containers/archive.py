"""A zip archive's directory, held against the file it stands in; members read and checked.

Only the directory at the archive's end is believed, and of it nothing that the file cannot
bear out: members lie one after another inside the file, none twice, none encrypted. Whoever
maps a member asks ``stored_at``, which also looks at the member's own header.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ptv_hub.containers import bounds
from ptv_hub.errors import TruncatedFile, UnreadableFile

BEGINS = b"PK\x03\x04"

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")

_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 0x2041
"""Flags: encrypted, strongly so, or with its header hidden."""
_FULL = 0xFFFFFFFF
"""In place of a size or offset that stands in the zip64 field."""


@dataclass(frozen=True)
class Member:
    name: str
    flags: int
    method: int
    crc: int
    packed: int
    """Bytes in the file."""
    size: int
    """Bytes when unpacked."""
    header: int
    """Where its header begins in the file."""

    @property
    def is_stored(self) -> bool:
        """Whether its bytes stand in the file as they are."""
        return self.method == _STORED


class Archive:
    """A file's members by name. ``data`` is the whole file, mapped; writing to it is private."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        """Read the directory.

        Raises:
            UnreadableFile: truncated, damaged, ambiguous, or of a kind that is not read.
        """
        self.path = path
        self.data = data
        self._start, count, self._end = self._directory()
        self.members = {member.name: member for member in self._entries(self._start, count)}
        # torch's own reader takes names that differ in case alone for one.
        if len({name.lower() for name in self.members}) != count:
            raise self._damaged("two members of one name")
        self._limits = self._one_after_another()
        self.has_sums = any(member.crc for member in self.members.values())
        """Whether its writer counted checksums; torch can leave them out, and writes 0."""
        packed = sum(m.size for m in self.members.values() if not m.is_stored)
        most = bounds.expanded_bytes(len(data))
        bounds.require_size("bytes of compressed members", packed, most, path)

    @property
    def root(self) -> str:
        """The folder in which torch keeps all members: that of the first one."""
        return next(iter(self.members), "").partition("/")[0]

    def stored_at(self, member: Member) -> int:
        """Where its bytes begin in the file. Raises UnreadableFile if its own header differs."""
        head = self.data[member.header : member.header + _LOCAL.size]
        if len(head) < _LOCAL.size or head[:4] != BEGINS:
            raise self._damaged(f"no member where {_told(member)} should begin")
        _, _, flags, method, *_, name, extra = _LOCAL.unpack(head)
        start: int = member.header + _LOCAL.size
        own = _text(self.data[start : start + name])
        if (own, method, flags & _ENCRYPTED) != (member.name, member.method, 0):
            raise self._damaged(f"the header of {_told(member)} is of another member")
        start += name + extra
        if start + member.packed > self._limits[member.name]:
            raise self._damaged(f"{_told(member)} reaches into what follows it")
        return start

    def read(self, member: Member) -> bytes:
        """Its bytes, unpacked, and as its checksum says, if any. Raises UnreadableFile."""
        start = self.stored_at(member)
        content = self.data[start : start + member.packed]
        if not member.is_stored:
            unpacker = zlib.decompressobj(-15)
            try:
                content = unpacker.decompress(content, member.size + 1)
            except zlib.error as error:
                raise self._damaged(f"{_told(member)}: {error}") from error
            if not unpacker.eof or unpacker.unused_data:
                raise self._damaged(f"{_told(member)} is not as long as it says")
        if len(content) != member.size:
            raise self._damaged(f"{_told(member)} is not as long as it says")
        self._require_sum(member, zlib.crc32(content))
        return content

    def check(self) -> None:
        """Hold every member against its checksum, if any. Raises UnreadableFile if one differs."""
        for member in self.members.values():
            if member.is_stored:
                start = self.stored_at(member)
                with memoryview(self.data) as view, view[start : start + member.packed] as part:
                    self._require_sum(member, zlib.crc32(part))
            else:
                self.read(member)

    def _require_sum(self, member: Member, found: int) -> None:
        if found != member.crc and self.has_sums:
            raise UnreadableFile(
                "a weights file is damaged: its bytes are not those that were written",
                where=self.path,
                expected=f"checksum {member.crc:08x} of {_told(member)}",
                found=f"{found:08x}",
                fix="fetch or copy it again",
            )

    def _directory(self) -> tuple[int, int, int]:
        """Where the directory begins, how many entries it has, where it ends."""
        data, size = self.data, len(self.data)
        at = data.rfind(b"PK\x05\x06", max(0, size - _END.size - 0xFFFF))
        if at < 0 or at + _END.size > size:
            raise TruncatedFile(
                "a weights file is truncated or damaged",
                where=self.path,
                found="no end of the zip archive",
                fix="fetch or copy it again",
            )
        _, disk, _, _, count, length, start, comment = _END.unpack_from(data, at)
        if at + _END.size + comment != size:
            raise self._damaged("other bytes after the end of the zip archive")
        if disk not in (0, 0xFFFF):
            raise self._damaged("one part of an archive in several files")
        end = at
        if 0xFFFF in (disk, count) or _FULL in (length, start) or self._has_large_end(at):
            small, full = (count, length, start), (0xFFFF, _FULL, _FULL)
            count, length, start, end = self._directory64(at)
            told = zip(small, full, (count, length, start), strict=True)
            if any(one not in (none, other) for one, none, other in told):
                raise self._damaged("two directories: readers differ in which one they read")
        bounds.require_size("members of the archive", count, bounds.MEMBERS, self.path)
        if start + length > end or count * _ENTRY.size > length:
            raise self._damaged("the zip archive's directory is not where its end says")
        return start, count, start + length

    def _has_large_end(self, end: int) -> bool:
        at = end - _LOCATOR.size
        return at >= 0 and self.data[at : at + 4] == b"PK\x06\x07"

    def _directory64(self, end: int) -> tuple[int, int, int, int]:
        if not self._has_large_end(end):
            raise self._damaged("no large end of the zip archive")
        at = end - _LOCATOR.size
        at = _LOCATOR.unpack_from(self.data, at)[2]
        if at + _END64.size > end or self.data[at : at + 4] != b"PK\x06\x06":
            raise self._damaged("no large end of the zip archive")
        count, length, start = _END64.unpack_from(self.data, at)[7:]
        return count, length, start, at

    def _entries(self, at: int, count: int) -> Iterator[Member]:
        data = self.data
        for _ in range(count):
            if at + _ENTRY.size > self._end:
                raise self._damaged("the zip archive's directory ends too early")
            entry = _ENTRY.unpack_from(data, at)
            signature, _, _, flags, method, _, _, crc, packed, size = entry[:10]
            named, extra, comment, *_, header = entry[10:]
            start = at + _ENTRY.size
            at = start + named + extra + comment
            if signature != b"PK\x01\x02" or at > self._end:
                raise self._damaged("the zip archive's directory is damaged")
            name = _text(data[start : start + named])
            if _FULL in (packed, size, header):
                field = data[start + named : start + named + extra]
                size, packed, header = self._large(field, size, packed, header)
            if flags & _ENCRYPTED:
                raise self._damaged(f"a member is encrypted: {bounds.shown(name)}")
            if method not in (_STORED, _DEFLATED) or (method == _STORED and packed != size):
                raise self._damaged(f"a member is packed in an unknown way ({method})")
            yield Member(name, flags, method, crc, packed, size, header)

    def _large(self, field: bytes, size: int, packed: int, header: int) -> tuple[int, int, int]:
        """Sizes and offset of over 4 GB, from an entry's extra field."""
        at = 0
        while at + 4 <= len(field):
            kind, length = struct.unpack_from("<HH", field, at)
            if kind == 1:
                values = [size, packed, header]
                full = [place for place, value in enumerate(values) if value == _FULL]
                if length >= 8 * len(full) and at + 4 + 8 * len(full) <= len(field):
                    for place, value in zip(
                        full, struct.unpack_from(f"<{len(full)}Q", field, at + 4), strict=True
                    ):
                        values[place] = value
                    return values[0], values[1], values[2]
            at += 4 + length
        raise self._damaged("a member's size is missing")

    def _one_after_another(self) -> dict[str, int]:
        """Up to where each member may reach; members that overlap multiply what a file holds."""
        ordered = sorted(self.members.values(), key=lambda member: member.header)
        limits = {}
        for place, member in enumerate(ordered):
            last = place + 1 == len(ordered)
            limit = self._start if last else ordered[place + 1].header
            if member.header + _LOCAL.size + len(member.name) + member.packed > limit:
                raise self._damaged(f"{_told(member)} reaches into what follows it")
            limits[member.name] = limit
        return limits

    def _damaged(self, found: str) -> UnreadableFile:
        return UnreadableFile(
            "a weights file is truncated or damaged",
            where=self.path,
            found=found,
            fix="fetch or copy it again",
        )


def _text(name: bytes) -> str:
    # One character a byte: names are compared and never used as paths.
    return name.decode("latin-1")


def _told(member: Member) -> str:
    return bounds.shown(member.name)
