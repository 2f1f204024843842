"""Lightning Fabric, which brings devices, processes and mixed precision, set up for a recipe."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Literal

import torch

from ptv_hub.engines.device import usable_device
from ptv_hub.errors import MissingExtra
from ptv_hub.zoo.recipe import Recipe

if TYPE_CHECKING:
    from lightning.fabric import Fabric

Precision = Literal["16-mixed", "bf16-mixed", "32-true"]


def make_fabric(device: str, recipe: Recipe) -> Fabric:
    """One process on a device (as ``usable_device`` takes it), or as many as ``torchrun`` started.

    Raises:
        UsageError: there is no such device here.
        MissingExtra: Lightning is not installed.
    """
    try:
        from lightning.fabric import Fabric
    except ImportError as error:
        raise MissingExtra("lightning", "train", needed_for="training") from error
    place = usable_device(device)
    cuda = place.type == "cuda"
    precision: Precision = (
        ("16-mixed" if cuda else "bf16-mixed") if recipe.mixed_precision else "32-true"
    )
    # Lightning counts among its talk what is no news; ours goes through `report`.
    for name in ("lightning", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return Fabric(
        accelerator=place.type,
        devices=[place.index] if cuda and world == 1 else local,
        num_nodes=max(world // local, 1),
        strategy="ddp" if world > 1 else "auto",
        precision=precision,
    )


def nodes_of(fabric: Fabric) -> int:
    """Machines that take part."""
    return int(getattr(fabric.strategy, "num_nodes", 1)) if fabric.world_size > 1 else 1


def scaler_of(fabric: Fabric) -> torch.amp.GradScaler | None:
    """The loss scaler of half precision on a GPU; ``None`` elsewhere."""
    scaler: torch.amp.GradScaler | None = getattr(fabric.strategy.precision, "scaler", None)
    return scaler
