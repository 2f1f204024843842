"""docs/reference.md: what mkdocstrings makes the reference of; part of ``tools/generate.py``."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import ptv_hub
from ptv_hub import errors

ROOT = Path(__file__).resolve().parents[1]
GROUPS = {
    "Models": ("list_models", "entry", "load", "fetch", "optimize", "digest", "identify"),
    "Videos": ("predict", "annotate", "watch", "predict_boxes", "features", "transform"),
    "Checkpoints": ("convert", "verify", "export", "push"),
    "Evaluation and training": ("evaluate", "bench", "finetune", "VideoDataset"),
    "Manifests and configs": ("read_manifest", "from_config"),
}
"""The public functions, by what they are for."""
RECORDS = (
    "zoo.entry.Entry",
    "zoo.input_spec.InputSpec",
    "zoo.input_spec.Protocol",
    "zoo.origin.Origin",
    "models.builders.VideoModel",
    "inference.predict.Prediction",
    "inference.features.Features",
    "inference.annotated.Annotated",
    "inference.watching.Watched",
    "evaluation.result.EvalResult",
    "weights.convert.Conversion",
)
"""What they take and return."""


def records() -> tuple[str, ...]:
    """Every class that the page describes, by its place below the package."""
    homes = {f"{home}.{name}": name for name, home in ptv_hub._HOMES.items()}
    others = [place for place, name in homes.items() if isinstance(getattr(ptv_hub, name), type)]
    return tuple(dict.fromkeys((*RECORDS, *others)))


def found(place: str) -> type:
    """The class at a place."""
    room, _, name = place.rpartition(".")
    kind = getattr(importlib.import_module(f"ptv_hub.{room}"), name)
    assert isinstance(kind, type)
    return kind


def text() -> str:
    """The page."""
    homes = ptv_hub._HOMES
    parts = [
        "# Reference",
        "What `ptv_hub` gives to Python; each name is imported when it is used.",
    ]
    for title, names in GROUPS.items():
        parts.append(f"## {title}")
        parts += [f"::: ptv_hub.{homes[name]}.{name}" for name in names]
    elsewhere = {"ModelName", "PtvHubError", *(name for names in GROUPS.values() for name in names)}
    others = [f"{home}.{name}" for name, home in homes.items() if name not in elsewhere]
    parts.append("## Records")
    parts += [f"::: ptv_hub.{name}" for name in dict.fromkeys((*RECORDS, *others))]
    parts += ["## Errors", f"```text\n{_tree()}\n```", "::: ptv_hub.errors.PtvHubError"]
    return "\n\n".join(parts) + "\n"


def _tree() -> str:
    found = re.search(r"^PtvHubError\n.*", errors.__doc__ or "", re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[0].rstrip()
