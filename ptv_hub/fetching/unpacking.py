"""Bodies in a compressed form that nobody asked for: unpacked piece by piece, within bounds."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from ptv_hub.errors import FetchError

FORMS = ("gzip", "x-gzip", "deflate")

_PIECE = 1 << 18
"""Bytes unpacked at once, at most."""
_FREE = 64 << 20
_MOST_TIMES = 20
"""Weights hardly get smaller by packing: what grows further than this is no file of them."""


class Unpacker:
    """Unpacks one body."""

    def __init__(self, form: str, url: str) -> None:
        self._form, self._url = form, url
        self._packer = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip's head, or zlib's
        self._in = self._out = 0

    @property
    def ended(self) -> bool:
        """Whether the end of the packed form has been seen."""
        return self._packer.eof

    def __call__(self, packed: bytes) -> Iterator[bytes]:
        """What comes of the next bytes of the body.

        Raises:
            FetchError: it is not in this form, other bytes follow it, or it grows without end.
        """
        self._in += len(packed)
        if self._in == len(packed) and self._form == "deflate" and not _has_zlib_head(packed):
            self._packer = zlib.decompressobj(-zlib.MAX_WBITS)  # as some servers have it
        while packed:
            try:
                piece = self._packer.decompress(packed, _PIECE)
            except zlib.error as error:
                raise self._broken(f"what is no {self._form}: {error}") from error
            packed = self._packer.unconsumed_tail
            if self._packer.unused_data:
                raise self._broken(f"other bytes behind the {self._form} form")
            self._out += len(piece)
            if self._out > _FREE + _MOST_TIMES * self._in:
                raise self._broken(f"{self._in} bytes that become more than {self._out}")
            if piece:
                yield piece

    def _broken(self, found: str) -> FetchError:
        return FetchError(
            "the server sends the file in a compressed form that cannot be unpacked",
            where=self._url,
            expected="the file as it is, which was asked for",
            found=found,
            fix="try again later, or another mirror (PTV_HUB_MIRROR)",
        )


def _has_zlib_head(packed: bytes) -> bool:
    return len(packed) > 1 and packed[0] & 15 == 8 and (packed[0] << 8 | packed[1]) % 31 == 0
