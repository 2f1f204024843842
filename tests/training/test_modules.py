"""Batch norms of many processes: torch's own on GPUs, ours on the CPU, the same keys."""

from __future__ import annotations

import pytest
from torch import nn

from ptv_hub.fetching.hub import entry
from ptv_hub.models.builders import build
from ptv_hub.training.finetuning import finetuning
from ptv_hub.training.modules import CpuSyncBatchNorm3d, adapt_model


@pytest.mark.parametrize(
    ("on_gpu", "world", "kind"),
    [
        (True, 2, nn.SyncBatchNorm),
        (False, 2, CpuSyncBatchNorm3d),
        (True, 1, nn.BatchNorm3d),
    ],
)
def test_which_batch_norm_is_taken(on_gpu, world, kind):
    model = build(entry("x3d_xs"), device="meta")
    keys = list(model.state_dict())
    recipe = finetuning(entry("x3d_xs")).recipe
    assert recipe.sync_bn
    adapt_model(model, recipe, rank=0, world=world, on_gpu=on_gpu)
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
    assert len(norms) > 50
    assert {type(norm) for norm in norms} == {kind}
    assert list(model.state_dict()) == keys
