"""Where a model runs: device, threads and backend, set up at one place."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from ptv_hub.engines.memory import keep_freed_memory
from ptv_hub.engines.optimized import optimize
from ptv_hub.errors import UsageError
from ptv_hub.models.builders import ActionModel, VideoModel


@dataclass(frozen=True)
class Machine:
    """What a process whose work is one model gives it."""

    device: str | None = "cpu"
    """As torch names it; ``None`` for a GPU where there is one."""
    threads: int | None = None
    """Of the CPU; ``None`` for torch's own choice."""
    backend: str | None = None
    """``None`` for the model as it was loaded."""
    dtype: str = "fp32"
    """What the backend computes in."""
    keep_memory: bool = True
    """Whether the process keeps memory that was freed."""


def usable_device(name: str | None) -> torch.device:
    """The device of this process; of several ranks each has a GPU of its own.

    Raises:
        UsageError: there is no such device here.
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            "the device cannot be used",
            where=name,
            expected="cpu, cuda, cuda:N, ...",
            found=str(error).splitlines()[0],
        ) from error
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


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
    model.to(usable_device(machine.device))
    if machine.backend is None:
        return model
    return optimize(model, machine.backend, dtype=machine.dtype)
