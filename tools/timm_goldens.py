#!/usr/bin/env python3
"""Write tests/data/timm_layer_decay.json.gz: layer-wise rates as timm itself sets them.

    pip install timm; python tools/timm_goldens.py

For timm's own networks with the stages of ours, and for ours as ``timm.optim`` reads them.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import timm
from timm.models.vision_transformer import VisionTransformer
from timm.optim import param_groups_layer_decay
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ptv_hub.models.builders import build
from ptv_hub.zoo.manifest import find

WEIGHT_DECAY, LAYER_DECAY = 0.05, 0.75
OURS = ("c2d_r50", "csn_r101", "slowfast_r50", "x3d_xs", "mvit_base_16x4", "efficient_x3d_xs")


def rates(model: nn.Module) -> dict[str, list[float]]:
    """Name of each parameter -> the scale of its rate, and its weight decay."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = param_groups_layer_decay(
        model, WEIGHT_DECAY, model.no_weight_decay(), layer_decay=LAYER_DECAY
    )
    return {
        names[id(parameter)]: [group["lr_scale"], group["weight_decay"]]
        for group in groups
        for parameter in group["params"]
    }


def resnet(name: str) -> nn.Module:
    model = timm.create_model(name)
    model.no_weight_decay = set  # timm's ResNets have no such method
    return model


def main() -> None:
    goldens = {
        "timm": timm.__version__,
        "weight_decay": WEIGHT_DECAY,
        "layer_decay": LAYER_DECAY,
        "theirs": {
            "resnet50": rates(resnet("resnet50")),
            "resnet101": rates(resnet("resnet101")),
            "vit of 16 blocks": rates(VisionTransformer(depth=16)),
        },
        "ours": {name: rates(build(find(name), device="meta")) for name in OURS},
    }
    path = ROOT / "tests" / "data" / "timm_layer_decay.json.gz"
    path.write_bytes(gzip.compress(json.dumps(goldens).encode(), mtime=0))


if __name__ == "__main__":
    main()
