"""What the processor computes is read off the system's own words."""

from __future__ import annotations

import pytest
import torch

from ptv_hub.engines import processor

CPU = torch.device("cpu")


@pytest.fixture
def told(tmp_path, monkeypatch):
    def say(line: str | None) -> None:
        path = tmp_path / "cpuinfo"
        path.unlink(missing_ok=True)
        if line is not None:
            path.write_text(f"processor\t: 0\n{line}\n")
        monkeypatch.setattr(processor, "_CPUINFO", path)
        processor.instructions.cache_clear()

    yield say
    processor.instructions.cache_clear()


@pytest.mark.parametrize(
    ("line", "bf16", "int8"),
    [
        ("flags\t\t: fma avx2 avx512f avx512_vnni avx512_bf16", True, True),
        ("flags\t\t: fma avx2 avx512f avx512_vnni", False, True),
        ("flags\t\t: fma avx2", False, False),
        ("Features\t: fp asimd asimddp bf16", True, True),
        (None, False, False),
    ],
)
def test_instructions_are_those_that_the_system_names(told, line, bf16, int8):
    told(line)
    assert processor.computes_bf16(CPU) is bf16
    assert processor.computes_int8() is int8
