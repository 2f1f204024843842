"""What a file says of itself is read in time that its size explains, with no traceback."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from ptv_hub.fetching.hub import entry
from ptv_hub.weights.checkpoint import Checkpoint, write
from ptv_hub.weights.own_word import ENTRY, own_word, recorded

GOOD = "DATA: {NUM_FRAMES: 4}\n"


def said(**training: object) -> dict[str, object]:
    return dict(own_word(Checkpoint(Path("x"), "zip", "bare", "", {}, training)).claims)


def test_numbers_are_taken():
    assert said(cfg=GOOD) == {"num_frames": 4}
    assert said(meta={"cfg": "clip_len=8"}) == {"num_frames": 8}


@pytest.mark.parametrize(
    "cfg",
    [
        "DATA: {NUM_FRAMES: 2020-99-99}",
        "[" * 5000,
        'DATA: {NUM_FRAMES: !!int "abc"}',
        'DATA: {NUM_FRAMES: !!binary "\u00e9"}',
        "[1]",
        "DATA: {NUM_FRAMES: .nan}",
        "DATA: {NUM_FRAMES: true}",
        "DATA: {NUM_FRAMES: [4]}",
        f"{GOOD}x: [{'a, ' * 2_000_000}]",
    ],
    ids=lambda cfg: ascii(cfg[:24]),
)
def test_what_is_no_number_is_no_claim(cfg):
    start = time.process_time()
    assert said(cfg=cfg) == {}
    assert time.process_time() - start < 5


def test_a_number_of_too_many_digits_is_no_claim():
    assert said(meta={"cfg": f"clip_len={'9' * 5000}"}) == {}


def test_a_record_is_found_however_its_key_is_spelled(tmp_path):
    """JSON may write a letter as its number; that no record is there is told without parsing."""
    path = tmp_path / "own.safetensors"
    own = entry("x3d_xs").model_copy(update={"name": "mine", "artifacts": ()})
    write(path, {"a": torch.zeros(1)}, metadata={ENTRY: own.model_dump_json()})
    found = recorded(path)
    assert found is not None
    assert found.name == "mine"
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    spelled = "".join(f"\\u{ord(letter):04x}" for letter in ENTRY)
    header = content[8 : 8 + length].replace(ENTRY.encode(), spelled.encode())
    assert ENTRY.encode() not in header
    path.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + length :])
    assert recorded(path) == found


def test_a_config_of_a_model_alone_is_its_word():
    cfg = {"cfg": "MODEL: {ARCH: c2d}"}
    word = own_word(Checkpoint(Path("x"), "zip", "bare", "", {}, cfg))
    assert (word.builders, word.pooled, word.claims) == (("c2d",), True, {})
