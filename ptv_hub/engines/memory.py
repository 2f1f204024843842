"""What becomes of memory that was freed: kept where the same activations come again, given back
where clips go to another process.

glibc gives every large block back to the system as soon as it is free, and the next layer's
output then costs a page fault for every 4 KiB: half of a forward pass on a CPU. Kept blocks
change no arithmetic. It is a setting of the whole process, so nothing here is done on import.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping

# Parameters of glibc's mallopt (malloc.h).
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -2, -3, -4


def keep_freed_memory() -> bool:
    """From now on the process keeps memory that was freed; whether this system can do that.

    Up to 1.5 GB more stay with the process, as much as its largest forward pass once took;
    there is no way back. Only glibc (Linux) knows it; elsewhere nothing happens.
    """
    return _set({_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1, _M_TOP_PAD: 64 << 20})


def give_back_clips() -> bool:
    """From now on every block of a megabyte goes back to the system as soon as it is free.

    Left to itself, glibc takes blocks of up to 32 MB from its heap once one of them was freed, and
    a clip that went to another process leaves a hole there that the next one does not fit: a
    worker that decodes a long video grew by a clip a window. Whether this system can do that.
    """
    return _set({_M_MMAP_THRESHOLD: 1 << 20, _M_TRIM_THRESHOLD: 1 << 20})


def _set(wanted: Mapping[int, int]) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return False
    done = [mallopt(name, value) == 1 for name, value in wanted.items()]
    return all(done)
