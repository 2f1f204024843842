"""From the model that was asked for to one that is loaded and runs where it is to run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ptv_hub.cli.talk import tell

if TYPE_CHECKING:
    from ptv_hub.engines.machine import Machine
    from ptv_hub.models.builders import ActionModel
    from ptv_hub.zoo.entry import Entry


def load_on(
    machine: Machine, item: Entry, weights: Path | None, *, any_weights: bool = False
) -> ActionModel:
    """The entry's model with its own weights, or those of a file, on this machine.

    What is not known of the weights is said on stderr, once.

    Raises:
        PtvHubError: as ``load``, ``usable_device`` and ``optimize``.
    """
    from ptv_hub.engines.machine import run_on, usable_device
    from ptv_hub.engines.optimized import OptimizedModel
    from ptv_hub.weights.load import load

    usable_device(machine.device)  # before anything is fetched
    loaded = load(item, weights=weights, any_weights=any_weights)
    if loaded.origin is not None and loaded.origin.doubt is not None:
        tell(loaded.origin.doubt)
    model = run_on(loaded, machine)
    if isinstance(model, OptimizedModel) and model.trials:
        tell(f"runs on {model.backend}, the fastest with the same scores")
    return model
