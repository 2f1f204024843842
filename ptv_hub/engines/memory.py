"""Memory that the process keeps: for evaluation, where the same activations come again.

glibc gives every large block back to the system as soon as it is free, and the next layer's
output then costs a page fault for every 4 KiB: half of a forward pass on a CPU. Kept blocks
change no arithmetic. It is a setting of the whole process, so nothing here is done on import.
"""

from __future__ import annotations

import ctypes
import sys

# Parameters of glibc's mallopt (malloc.h).
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """From now on the process keeps memory that was freed; whether this system can do that.

    Up to 1.5 GB more stay with the process, as much as its largest forward pass once took;
    there is no way back. Only glibc (Linux) knows it; elsewhere nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return False
    wanted = {_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1, _M_TOP_PAD: 64 << 20}
    done = [mallopt(name, value) == 1 for name, value in wanted.items()]
    return all(done)
