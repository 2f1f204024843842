"""The home of the PyTorchVideo / PySlowFast model zoo.

    import ptv_hub

    model = ptv_hub.load("slowfast_r50")        # eval mode, logits, official keys
    ptv_hub.entry("X3D_M").input                # what it wants to see
    ptv_hub.list_models("x3d_*", max_gflops=5)

Names are imported when they are first used: ``import ptv_hub`` costs no torch.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ptv_hub._version import __version__ as __version__

if TYPE_CHECKING:
    from ptv_hub.convert import convert as convert
    from ptv_hub.digest import digest as digest
    from ptv_hub.errors import PtvHubError as PtvHubError
    from ptv_hub.evaluation import evaluate as evaluate
    from ptv_hub.features import features as features
    from ptv_hub.hub import entry as entry
    from ptv_hub.identify import identify as identify
    from ptv_hub.load import load as load
    from ptv_hub.manifest import list_models as list_models
    from ptv_hub.manifest import read_manifest as read_manifest
    from ptv_hub.predict import predict as predict
    from ptv_hub.pyslowfast_config import from_config as from_config
    from ptv_hub.transforms import transform as transform
    from ptv_hub.verification import verify as verify

_HOMES = {
    "PtvHubError": "errors",
    "convert": "convert",
    "digest": "digest",
    "entry": "hub",
    "features": "features",
    "evaluate": "evaluation",
    "from_config": "pyslowfast_config",
    "identify": "identify",
    "list_models": "manifest",
    "load": "load",
    "predict": "predict",
    "read_manifest": "manifest",
    "transform": "transforms",
    "verify": "verification",
}
"""Public name -> the room it lives in."""

__all__ = ["__version__", *_HOMES]


class _Package(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        # Importing a room sets it as an attribute of the package; where a room and its
        # function share a name (load.load), the function is what users mean.
        if name in _HOMES and isinstance(value, ModuleType):
            return
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
