"""Drawn inputs: plain data is read as it was pickled, and what is damaged is an error of ours."""

from __future__ import annotations

import json
import math
import pickle
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ptv_hub.containers import pickled, safetensors_header
from ptv_hub.containers.rebuilding import Nobody, Rebuilding
from ptv_hub.errors import CheckpointError
from ptv_hub.weights import checkpoint
from tests.hostile import W, saved, zipped

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 900), 1 << 900),
    st.floats(),
    st.text(st.characters()),
    st.binary(),
    st.complex_numbers(),
)
KEYS = st.one_of(st.text(), st.integers(-(1 << 62), 1 << 62), st.none(), st.booleans())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.dictionaries(KEYS, inner),
        st.dictionaries(KEYS, inner).map(OrderedDict),
    ),
    max_leaves=20,
)
few = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read(content: bytes) -> object:
    return pickled.read(content, Rebuilding(Path("x"), Nobody()))[0]


@few
@given(VALUES)
def test_plain_data_is_read_as_it_was_pickled(value):
    found = read(pickle.dumps(value, 2))
    assert repr(found) == repr(value)  # as texts: nan is not equal to itself


OPERATIONS = st.sampled_from([bytes([code]) for code in pickled.OPERATIONS] + [b"."])


@few
@given(st.lists(st.one_of(OPERATIONS, st.binary(max_size=4)), max_size=60).map(b"".join))
def test_no_operations_give_an_error_of_anybody_elses(operations):
    # Nothing else is raised, or the test fails.
    with suppress(CheckpointError):
        read(b"\x80\x02" + operations + b".")


@few
@given(st.data())
def test_a_damaged_file_is_an_error_of_ours_or_data(tmp_path, data):
    tensors = {W: torch.arange(6.0), "blocks.0.v": torch.arange(3)}
    wholes = [
        saved({"model_state": tensors, "epoch": 3}),
        saved({"model_state": tensors, "epoch": 3}, old=True),
        zipped(pickle.dumps({"x": 1}, 2), {"0": bytes(8)}),
    ]
    content = bytearray(data.draw(st.sampled_from(wholes)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    path = tmp_path / "a.pyth"
    path.write_bytes(content)
    with suppress(CheckpointError):
        assert checkpoint.read(path, checked=data.draw(st.booleans())).tensors


NUMBERS = st.one_of(st.integers(-2, 9), st.integers(), st.floats(), st.none(), st.booleans())
WIDTHS = {"F32": 4, "F16": 2, "I64": 8}
ROWS = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "I64", "F4", "", None]),
        "shape": st.one_of(st.lists(NUMBERS, max_size=3), NUMBERS),
        "data_offsets": st.one_of(st.lists(NUMBERS, max_size=3), NUMBERS),
    }
)


@few
@given(
    st.one_of(
        st.dictionaries(st.sampled_from([W, "b", "__metadata__", "a b"]), ROWS),
        st.recursive(NUMBERS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)),
        st.binary(max_size=40),
    ),
    st.binary(max_size=24),
)
def test_a_header_is_read_or_an_error_of_ours(tmp_path, header, body):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    with suppress(CheckpointError):
        found = safetensors_header.read(path)
        rows = [header[key] for key in found.keys]
        sizes = [WIDTHS[row["dtype"]] * math.prod(row["shape"]) for row in rows]
        assert sum(sizes) == len(body)
