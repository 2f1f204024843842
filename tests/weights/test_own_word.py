"""What a file says of itself is read in time that its size explains, with no traceback."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ptv_hub.weights.checkpoint import Checkpoint
from ptv_hub.weights.own_word import own_word

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
