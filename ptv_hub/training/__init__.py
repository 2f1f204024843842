"""Training and fine-tuning with PySlowFast's recipes, on Lightning Fabric (the extra ``train``).

source = read_source(entry("x3d_xs"), "videos/", num_classes="auto")
config = finetuning(source.entry, output="run", opts=["SOLVER.MAX_EPOCH", 20])
train(config, source, weights="X3D_XS.pyth")
"""

from __future__ import annotations

from ptv_hub.training.engine import train
from ptv_hub.training.finetuning import finetuning
from ptv_hub.training.result import Progress, TrainingResult
from ptv_hub.training.source import Source, read_source

__all__ = ["Progress", "Source", "TrainingResult", "finetuning", "read_source", "train"]
