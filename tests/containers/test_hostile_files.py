"""Every file of ``tests/hostile.py``: refused with an error of ours, or read as torch reads it."""

from __future__ import annotations

import re
import resource
import time
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from ptv_hub.errors import CheckpointError, UnreadableFile
from ptv_hub.fetching.completeness import broken
from ptv_hub.fetching.hub import entry
from ptv_hub.models.digest import digest
from ptv_hub.verification.weights_file import check_file, obtain
from ptv_hub.weights import checkpoint
from ptv_hub.weights.convert import convert
from ptv_hub.weights.opened import OpenedWeights
from ptv_hub.zoo.entry import Entry
from tests.hostile import EITHER, REFUSED, SAME, Row, W, flipped, rows, saved

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
    found = outcome(path)
    assert time.process_time() - start < row.seconds
    if isinstance(found, CheckpointError):
        assert row.must in (REFUSED, EITHER), found
        assert str(path) in str(found)
        assert re.search(row.says, str(found))
        assert len(str(found)) < 2000
        assert str(found).replace("\n", "").isprintable()
        size = 0
    else:
        assert row.must in (SAME, EITHER), found
        wanted = reference(path, content)
        assert set(found.tensors) == set(wanted)
        for key, tensor in wanted.items():
            assert type(found.tensors[key]) is torch.Tensor
            assert checkpoint.same_bits(found.tensors[key], tensor.detach()), key
        size = found.tensor_bytes
    assert peak() - before < 3 * size + (1 << 30)
    path.unlink()


def outcome(path: Path) -> checkpoint.Checkpoint | CheckpointError:
    try:
        return checkpoint.read(path, checked=True)
    except CheckpointError as error:
        return error


def peak() -> int:
    """Bytes of memory that the process had at most."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.filterwarnings("ignore")
def test_what_is_written_is_without_the_bytes_around_it(tmp_path: Path):
    """Views, tied and repeated tensors: each is written alone, and nothing that lies around it."""
    secret = torch.full((1000,), 12345.0)
    secret[:6] = torch.arange(6.0)
    state = {
        "blocks.0.view": secret[:6].view(2, 3),
        "blocks.0.tied": secret[:6],
        "blocks.0.repeated": torch.ones(1).expand(4, 5),
        "blocks.0.turned": torch.randn(3, 5).t(),
    }
    source = tmp_path / "source.pyth"
    torch.save(state, source)
    assert source.read_bytes().count(secret[6:8].numpy().tobytes())
    for suffix in (".pyth", ".safetensors"):
        target = tmp_path / f"target{suffix}"
        checkpoint.write(target, checkpoint.read(source).tensors)
        assert not target.read_bytes().count(secret[6:8].numpy().tobytes())
        found = checkpoint.read(target).tensors
        assert all(checkpoint.same_bits(found[key], tensor) for key, tensor in state.items())


def test_what_cannot_be_mapped_is_read_and_said(tmp_path: Path):
    path = tmp_path / "a.pyth"
    told = {}
    for row in ROWS:
        if row.name in ("as torch writes it, zip64 and all", "compressed", "stored at odd places"):
            path.write_bytes(row.make())
            told[row.name] = checkpoint.read(path).not_mapped
    assert told == {
        "as torch writes it, zip64 and all": None,
        "compressed": "2 that stand compressed",
        "stored at odd places": "2 that stand at odd places",
    }


def test_a_flipped_bit_of_a_weight_is_found_by_verify_convert_and_fetch(tmp_path):
    path = tmp_path / "X3D_M.pyth"
    path.write_bytes(
        flipped(saved({W: torch.arange(1000.0)}), torch.arange(500.0).numpy().tobytes())
    )
    assert checkpoint.read(path).tensors  # not on the road of loading
    with pytest.raises(UnreadableFile, match="damaged"):
        convert(path, tmp_path / "out.pyth", to="official")
    assert not (tmp_path / "out.pyth").exists()
    item = entry("x3d_m")
    subject = obtain(item, OpenedWeights(path, checked=True), progress=False)
    checks, readable = check_file(item, subject)
    assert not readable
    assert "safe to read" in [check.name for check in checks if check.verdict == "fails"]
    error = broken(path)
    assert error is not None
    assert "damaged" in error.what


def test_an_archive_without_checksums_is_read(tmp_path):
    path = tmp_path / "a.pyth"
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({W: torch.ones(3)}, path)
    finally:
        torch.serialization.set_crc32_options(True)
    assert checkpoint.read(path, checked=True).tensors[W].tolist() == [1, 1, 1]


@pytest.mark.parametrize("key", ["a float32 1\nb", "a b", "a\tb", "", "\u00e9", "x" * 301])
def test_a_digest_is_of_names_alone(key):
    """Two dicts would have one digest if a key could hold a line of it."""
    with pytest.raises(CheckpointError, match="no name"):
        digest({key: torch.ones(1)})


@pytest.mark.parametrize(
    "change",
    [
        {"builder": {"depth_factor": 1e5}},
        {"builder": {"width_factor": 1e9}},
        {"builder": {"bottleneck_factor": float("inf")}},
        {"builder": {"dim_c5": 10**9}},
        {"input": {"num_frames": 10**9}},
        {"input": {"crop_size": 10**6, "short_side": 10**6}},
        {"input": {"num_frames": 4000, "crop_size": 4000, "short_side": 4000}},
        {"protocol": {"num_clips": 10**9}},
        {"num_classes": 10**12, "labels": ()},
    ],
    ids=str,
)
def test_a_record_cannot_ask_for_a_network_without_end(change):
    record = entry("x3d_xs").model_dump()
    for field, values in change.items():
        record[field] = {**record[field], **values} if isinstance(values, dict) else values
    with pytest.raises(ValidationError):
        Entry.model_validate(record)
