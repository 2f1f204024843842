"""Models without memory: everything in them is hollow, whatever their layers make it with."""

from itertools import chain

import pytest
import torch

from ptv_hub.models.builders import build
from ptv_hub.zoo.manifest import known

KINDS = {item.builder.name: item for item in reversed(known())}
"""An entry of each kind of builder."""


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_nothing_in_a_hollow_model_takes_memory(kind):
    model = build(KINDS[kind], device="meta")
    held = [t for t in chain(model.parameters(), model.buffers()) if not t.is_meta]
    assert not held
    assert next(model.parameters()).dtype == torch.float32
