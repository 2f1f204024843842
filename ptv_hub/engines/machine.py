"""Where a model runs: device, threads and backend, set up at one place."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ptv_hub.engines.calibrated import CalibrationViews
from ptv_hub.engines.device import usable_device
from ptv_hub.engines.memory import keep_freed_memory
from ptv_hub.engines.optimized import BACKENDS, CLOSE, INT8, optimize
from ptv_hub.errors import UnknownName
from ptv_hub.models.builders import ActionModel, VideoModel

EAGER = "eager"
"""The model as it was loaded: no backend."""


@dataclass(frozen=True)
class Machine:
    """What a process whose work is one model gives it."""

    device: str = "auto"
    """As ``usable_device`` takes it."""
    threads: int | None = None
    """Of the CPU; ``None`` for torch's own choice."""
    backend: str | None = None
    """``None`` or ``eager`` for the model as it was loaded."""
    dtype: str = "fp32"
    """What the backend computes in."""
    keep_memory: bool = True
    """Whether the process keeps memory that was freed."""
    calibration: CalibrationViews | None = None
    """What int8 is calibrated on."""
    within: float = CLOSE
    """How far the backend ``auto`` may be from the model's scores."""


def _exact_on_gpu(model: VideoModel) -> None:
    """Float32 that is float32, and weights in the order of the tensor cores' kernels."""
    # Left to itself, torch computes convolutions with ten bits of each number (TF32).
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    for module in model.modules():
        if isinstance(module, torch.nn.Conv3d):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last_3d)


def run_on(model: VideoModel, machine: Machine) -> ActionModel:
    """The model on this machine: moved there, and on the backend. For a process of its own.

    Raises:
        UsageError: as ``usable_device``.
        PtvHubError: as ``optimize``.
    """
    if machine.keep_memory:
        keep_freed_memory()
    if machine.threads is not None:
        torch.set_num_threads(machine.threads)
    device = usable_device(machine.device)
    model.to(device)
    if device.type == "cuda":
        _exact_on_gpu(model)
    backend = machine.backend or ("openvino" if machine.dtype == INT8 else EAGER)
    if backend == EAGER and machine.dtype != INT8:
        return model
    if backend not in (EAGER, *BACKENDS, "auto"):
        raise UnknownName("backend", backend, (EAGER, *BACKENDS, "auto"))
    return optimize(
        model,
        backend,
        dtype=machine.dtype,
        calibration=machine.calibration,
        within=machine.within,
    )
