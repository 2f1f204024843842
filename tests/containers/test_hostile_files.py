"""Every file of ``tests/hostile.py``: refused with an error of ours, or read as torch reads it."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ptv_hub.errors import CheckpointError
from ptv_hub.weights import checkpoint
from tests.hostile import EITHER, REFUSED, SAME, Row, rows

ROWS = rows()


def reference(path: Path, content: bytes) -> dict[str, torch.Tensor]:
    """What torch's data-only reader, or that of safetensors, makes of it."""
    if content[8:9] == b"{":
        return load_file(path)
    found = torch.load(path, weights_only=True, map_location="cpu")
    return found.get("model_state", found) if type(found) is dict else dict(found.items())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row.name, marks=[pytest.mark.slow] if row.slow else []) for row in ROWS],
)
def test_what_is_read_is_what_torch_reads_or_is_refused(row: Row, tmp_path: Path):
    path = tmp_path / "file.pyth"
    content = row.make()
    path.write_bytes(content)
    before, start = peak(), time.process_time()
    try:
        file = checkpoint.read(path, checked=True)
    except CheckpointError as error:
        assert row.must in (REFUSED, EITHER), error
        assert str(path) in str(error)
        assert len(str(error)) < 2000
        assert str(error).isprintable() or str(error).replace("\n", "").isprintable()
        size = 0
    else:
        assert row.must in (SAME, EITHER), file
        wanted = reference(path, content)
        assert set(file.tensors) == set(wanted)
        for key, tensor in wanted.items():
            assert type(file.tensors[key]) is torch.Tensor
            assert checkpoint.same_bits(file.tensors[key], tensor.detach()), key
        size = file.tensor_bytes
    assert time.process_time() - start < row.seconds
    assert peak() - before < 3 * size + (1 << 30)
    path.unlink()


def peak() -> int:
    """Bytes of memory that the process had at most."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
