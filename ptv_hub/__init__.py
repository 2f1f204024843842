"""The home of the PyTorchVideo / PySlowFast model zoo.

    import ptv_hub

    model = ptv_hub.load("slowfast_r50")        # eval mode, logits, official keys
    ptv_hub.entry("X3D_M").input                # what it wants to see
    ptv_hub.list_models("x3d_*", max_gflops=5)

Names are imported when they are first used: ``import ptv_hub`` costs no torch.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ptv_hub._version import __version__ as __version__
from ptv_hub.text import OneLine as _OneLine

if TYPE_CHECKING:
    from ptv_hub.engines.optimized import optimize as optimize
    from ptv_hub.errors import PtvHubError as PtvHubError
    from ptv_hub.evaluation.loop import evaluate as evaluate
    from ptv_hub.fetching.artifacts import fetch as fetch
    from ptv_hub.inference.annotated import annotate as annotate
    from ptv_hub.inference.detection import predict_boxes as predict_boxes
    from ptv_hub.inference.features import features as features
    from ptv_hub.inference.predict import predict as predict
    from ptv_hub.inference.speed import bench as bench
    from ptv_hub.inference.transforms import transform as transform
    from ptv_hub.inference.watching import watch as watch
    from ptv_hub.models.builders import VideoModel as VideoModel
    from ptv_hub.models.digest import digest as digest
    from ptv_hub.publish.export import export as export
    from ptv_hub.publish.push import push as push
    from ptv_hub.publish.saved import save as save
    from ptv_hub.publish.upload import Pushed as Pushed
    from ptv_hub.training.finetune import finetune as finetune
    from ptv_hub.training.video_dataset import VideoDataset as VideoDataset
    from ptv_hub.verification.walk import verify as verify
    from ptv_hub.weights.convert import convert as convert
    from ptv_hub.weights.identify import identify as identify
    from ptv_hub.weights.load import load as load
    from ptv_hub.weights.named import entry as entry
    from ptv_hub.weights.named import hub_address as hub_address
    from ptv_hub.zoo.manifest import list_models as list_models
    from ptv_hub.zoo.manifest_file import read_manifest as read_manifest
    from ptv_hub.zoo.model_names import ModelName as ModelName
    from ptv_hub.zoo.pyslowfast import from_config as from_config

_HOMES = {
    "ModelName": "zoo.model_names",
    "Pushed": "publish.upload",
    "VideoDataset": "training.video_dataset",
    "PtvHubError": "errors",
    "annotate": "inference.annotated",
    "VideoModel": "models.builders",
    "bench": "inference.speed",
    "convert": "weights.convert",
    "digest": "models.digest",
    "entry": "weights.named",
    "evaluate": "evaluation.loop",
    "export": "publish.export",
    "features": "inference.features",
    "fetch": "fetching.artifacts",
    "finetune": "training.finetune",
    "from_config": "zoo.pyslowfast",
    "hub_address": "weights.named",
    "identify": "weights.identify",
    "list_models": "zoo.manifest",
    "load": "weights.load",
    "optimize": "engines.optimized",
    "predict": "inference.predict",
    "predict_boxes": "inference.detection",
    "push": "publish.push",
    "read_manifest": "zoo.manifest_file",
    "save": "publish.saved",
    "transform": "inference.transforms",
    "verify": "verification.walk",
    "watch": "inference.watching",
}
"""Public name -> the room it lives in."""

# What is said of servers and files goes to whatever handlers an application has set up.
logging.getLogger(__name__).addFilter(_OneLine())

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
