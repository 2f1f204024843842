"""What an error says, and what it keeps on its way between processes."""

from __future__ import annotations

import pickle

import pytest

from ptv_hub.errors import PtvHubError, UnknownName
from ptv_hub.text import Lines

NAMES = ("fp32", "fp16", "bf16")


@pytest.mark.parametrize(
    ("asked", "found"),
    [("BF-16", ("bf16",)), ("fp", ("fp32", "fp16")), ("int8", ()), ("", ())],
)
def test_an_unknown_name_finds_its_neighbours_itself(asked, found):
    error = UnknownName("dtype", asked, NAMES)
    assert error.neighbours[: len(found)] == found
    assert bool(error.neighbours) == bool(found)
    assert ("did you mean" in error.fix) == bool(found)
    assert error.fix.endswith("there are: fp32, fp16, bf16")


def test_a_neighbour_of_several_spellings_is_told_by_its_name():
    spellings = {"kinetics/x3d_m": "x3d_m", "x3d_m": "x3d_m", "slow_r50": "slow_r50"}
    error = UnknownName("model", "Kinetics/X3D_N", ["x3d_m", "slow_r50"], spellings=spellings)
    assert error.neighbours == ("x3d_m",)


def test_an_error_keeps_its_facts_between_processes():
    error = pickle.loads(pickle.dumps(UnknownName("dtype", "fp33", NAMES, see="look there")))
    assert (error.name, error.known, error.neighbours[0]) == ("fp33", NAMES, "fp32")
    assert str(error).splitlines()[0] == "there is no dtype 'fp33'"
    assert error.fix.endswith("? look there")


def test_only_the_message_itself_has_lines():
    """Whatever a stranger's text holds is one line; a fact of ours may have several."""
    odd = "".join(map(chr, range(32))) + "\x7f\x85\u2028\u2029"
    assert str(PtvHubError("no", found=odd)).count("\n") == 1
    several = PtvHubError("no", found=Lines.of(["one", odd, "three"]))
    for error in (several, pickle.loads(pickle.dumps(several))):
        assert str(error).count("\n") == 3
        assert str(error).endswith("\n            three")
