"""What this machine's processor has instructions for, beyond plain float32."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch

_CPUINFO = Path("/proc/cpuinfo")
_BF16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Of x86 and, the last, of ARM."""
_EIGHT_BITS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})


@cache
def instructions() -> frozenset[str]:
    """The words of ``/proc/cpuinfo``; none where there is no such file."""
    try:
        text = _CPUINFO.read_text()
    except OSError:
        return frozenset()
    lines = (line for line in text.splitlines() if line.startswith(("flags", "Features")))
    return frozenset(next(lines, "").partition(":")[2].split())


def computes_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is computed there, and not emulated."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(_BF16 & instructions())


def computes_int8() -> bool:
    """Whether the processor adds products of eight bits in 32: without, int8 is hardly faster."""
    return bool(_EIGHT_BITS & instructions())
