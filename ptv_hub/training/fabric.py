"""Lightning Fabric, which brings devices, processes and mixed precision, set up for a recipe."""

from __future__ import annotations

import logging
import os
from typing import Any

import torch

from ptv_hub.errors import MissingExtra
from ptv_hub.zoo.recipe import Recipe


def make_fabric(device: str, recipe: Recipe) -> Any:
    """One process on a device, or as many as ``torchrun`` started.

    Raises:
        MissingExtra: Lightning is not installed.
    """
    try:
        from lightning.fabric import Fabric
    except ImportError as error:
        raise MissingExtra("lightning", "train", needed_for="training") from error
    cuda = torch.cuda.is_available() if device == "auto" else device == "cuda"
    precision = ("16-mixed" if cuda else "bf16-mixed") if recipe.mixed_precision else "32-true"
    # Lightning counts among its talk what is no news; ours goes through `report`.
    for name in ("lightning", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return Fabric(
        accelerator="cuda" if cuda else "cpu",
        devices=local,
        num_nodes=max(world // local, 1),
        strategy="ddp" if world > 1 else "auto",
        precision=precision,  # type: ignore[arg-type]
    )


def scaler_of(fabric: Any) -> Any:
    """The loss scaler of half precision on a GPU; ``None`` elsewhere."""
    return getattr(fabric.strategy.precision, "scaler", None)
