"""From the model that was asked for to one that is loaded and runs where it is to run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ptv_hub.cli.talk import tell
from ptv_hub.errors import UsageError

if TYPE_CHECKING:
    from ptv_hub.cli.which_model import Asked
    from ptv_hub.engines.calibrated import CalibrationViews
    from ptv_hub.engines.machine import Machine
    from ptv_hub.models.builders import ActionModel
    from ptv_hub.zoo.entry import Entry


def calibration_of(
    wanted: Asked, dtype: str, source: Path | None, *, views: int, seed: int
) -> CalibrationViews | None:
    """What int8 is calibrated on: ``--calibrate``, or the training list of a config.

    Raises:
        UsageError: it is named, and the type is another.
        DataError: as ``datasets.calibration``.
    """
    if dtype != "int8":
        if source is not None:
            raise UsageError("--calibrate is for int8", found=f"--dtype {dtype}")
        return None
    from ptv_hub.datasets.calibration import calibration, of_training_list

    if source is not None:
        return calibration(wanted.entry, source, views=views, seed=seed)
    if wanted.data is None:
        return None
    return of_training_list(wanted.entry, wanted.data, wanted.videos, views=views, seed=seed)


def fastest_of(fastest: bool, backend: str | None, within: float | None) -> str | None:
    """The backend that is asked for. Raises UsageError: words that contradict each other."""
    if fastest and backend not in (None, "auto"):
        raise UsageError("--fastest and --backend contradict each other", found=backend)
    if within is not None and not fastest and backend != "auto":
        raise UsageError("--within is for --fastest", found=f"{within:g}", fix="--fastest")
    return "auto" if fastest else backend


def load_on(
    machine: Machine, item: Entry, weights: Path | None, *, any_weights: bool = False
) -> ActionModel:
    """The entry's model with its own weights, or those of a file, on this machine.

    What is not known of the weights is said on stderr, once.

    Raises:
        PtvHubError: as ``load``, ``usable_device`` and ``optimize``.
    """
    from ptv_hub.engines.device import usable_device
    from ptv_hub.engines.machine import run_on
    from ptv_hub.engines.optimized import CLOSE, OptimizedModel
    from ptv_hub.weights.load import load

    usable_device(machine.device)  # before anything is fetched
    loaded = load(item, weights=weights, any_weights=any_weights)
    if loaded.origin is not None and loaded.origin.doubt is not None:
        tell(loaded.origin.doubt)
    model = run_on(loaded, machine)
    if isinstance(model, OptimizedModel) and model.quantized is not None:
        tell(f"int8: {model.quantized.record.told}")
    if isinstance(model, OptimizedModel) and model.trials:
        how = "the fastest with the same scores"
        if machine.within > CLOSE:
            how = f"the fastest within {machine.within:g} of the model's scores"
        tell(f"runs on {model.backend} in {model.dtype}, {how}")
    return model
