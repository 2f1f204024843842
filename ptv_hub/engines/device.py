"""Which device a word means, and whether it is here."""

from __future__ import annotations

import os

import torch

from ptv_hub.errors import UsageError


def usable_device(name: str | torch.device) -> torch.device:
    """The device of this process; of several ranks each has a GPU of its own.

    Args:
        name: ``auto`` is a GPU (cuda, or mps of a Mac) where there is one, and else the CPU;
            ``gpu`` is the same without the CPU; all else as torch names it.

    Raises:
        UsageError: there is no such device here.
    """
    name = name.strip().lower() if isinstance(name, str) else name
    if name in ("auto", "gpu"):
        name = _first_there(gpu_only=name == "gpu")
    try:
        device = torch.device(name)
        if device.type == "meta":
            raise RuntimeError("a device that holds no numbers")
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            "the device cannot be used",
            where=name,
            expected="auto, gpu, cpu, cuda, cuda:N, mps, ...",
            found=str(error).splitlines()[0].split(". ")[0],  # torch lists all backends behind it
        ) from error
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def _first_there(*, gpu_only: bool) -> str:
    if torch.cuda.is_available():
        return "cuda"
    if torch.backends.mps.is_available():
        return "mps"
    if gpu_only:
        raise UsageError(
            "there is no GPU that torch can use",
            expected="cuda, or mps of a Mac",
            fix="--device cpu; 'ptv-hub env' shows what torch was built for",
        )
    return "cpu"
