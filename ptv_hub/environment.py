"""What a number was made with: versions, machine, device, threads. Imports nothing heavy."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from ptv_hub._version import __version__

if TYPE_CHECKING:
    import torch


EXTRAS = {
    "app": ("gradio",),
    "int8": ("openvino", "nncf"),
    "nvdec": ("torchcodec",),
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("openvino",),
    "pandas": ("pandas",),
    "parquet": ("pyarrow",),
    "plot": ("matplotlib",),
    "ray": ("ray",),
    "train": ("lightning", "tensorboard"),
    "transformers": ("transformers",),
}
"""What one may install beside: extra -> its distributions, as pyproject.toml names them."""


def has_extra(name: str) -> bool:
    """Whether all of an extra's distributions are installed."""
    return all(_installed(one) != "not installed" for one in EXTRAS[name])


def versions(*packages: str) -> dict[str, str]:
    """The package's own version, and those of the distributions named."""
    return {"ptv_hub": __version__, **{name: _installed(name) for name in packages}}


def _installed(package: str) -> str:
    if package == "torch" and "torch" in sys.modules:
        # Says more than its distribution: for which CUDA it was built.
        return str(sys.modules["torch"].__version__)
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def system() -> dict[str, str]:
    """Python's version, and the operating system and processor it runs on."""
    return {"python": platform.python_version(), "platform": platform.platform()}


def threads() -> int:
    """Threads that torch computes with."""
    import torch

    return torch.get_num_threads()


def device_name(device: torch.device) -> str:
    """``cpu (x86_64)``, ``cuda (NVIDIA H100 80GB HBM3)``."""
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return f"{device.type} ({name})"
