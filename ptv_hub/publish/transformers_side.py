"""What a repository needs to load in ``transformers``, and what its ``modeling_ptv_hub.py`` calls.

transformers itself is not imported here: the file in the repository does, where it is run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ptv_hub.files import write_text
from ptv_hub.inference.timestamps import Timestamps
from ptv_hub.inference.transforms import ClipTransform, ModelInput
from ptv_hub.inference.video import open_video
from ptv_hub.inference.views import plan_views
from ptv_hub.models.builders import VideoModel, activated, build
from ptv_hub.zoo.claims import without_vouchers
from ptv_hub.zoo.documents import read_json
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.input_spec import InputSpec, Protocol
from ptv_hub.zoo.repository import CONFIG_FILE, MODELING_FILE, PROCESSOR_FILE

Facts = Mapping[str, Any]
"""A record as JSON has it."""
_CODE = Path(__file__).parent / "in_repositories" / MODELING_FILE
_MODULE = Path(MODELING_FILE).stem


# ------------------------------------------------------------------------ into a repository


def write_for_transformers(folder: Path, item: Entry) -> None:
    """Add to a repository's files what transformers reads; of a model for boxes nothing.

    Raises:
        WriteError: a file could not be written.
    """
    if item.head.takes_boxes:
        for name in (MODELING_FILE, PROCESSOR_FILE):
            (folder / name).unlink(missing_ok=True)  # an earlier push's would be sent along
        return
    config = read_json(folder / CONFIG_FILE)
    _write_json(folder / CONFIG_FILE, {**config, **_config_of(item)})
    _write_json(folder / PROCESSOR_FILE, _processor_of(item))
    write_text(folder / MODELING_FILE, _CODE.read_text(encoding="utf-8"))


def _config_of(item: Entry) -> dict[str, Any]:
    several = item.protocol.activation == "sigmoid"
    kinds = {"AutoConfig": "Config", "AutoModelForVideoClassification": "ForVideoClassification"}
    # transformers counts the classes by their names; where there are none it makes some up.
    counted = {} if item.labels else {"num_labels": item.num_classes}
    return {
        **counted,
        "model_type": "ptv_hub",
        "architectures": ["PtvHubForVideoClassification"],
        "auto_map": {
            **{auto: f"{_MODULE}.PtvHub{kind}" for auto, kind in kinds.items()},
            "AutoVideoProcessor": f"{_MODULE}.PtvHubVideoProcessor",
        },
        "num_frames": item.input.num_frames,
        "problem_type": f"{'multi' if several else 'single'}_label_classification",
    }


def _processor_of(item: Entry) -> dict[str, Any]:
    spec = item.input
    return {
        "video_processor_type": "PtvHubVideoProcessor",
        "auto_map": {"AutoVideoProcessor": f"{_MODULE}.PtvHubVideoProcessor"},
        "input_spec": spec.model_dump(mode="json"),
        "protocol": item.protocol.model_dump(mode="json"),
        "num_frames": spec.num_frames,
        "size": {"shortest_edge": spec.short_side},
        "crop_size": {"height": spec.crop_size, "width": spec.crop_size},
        "image_mean": list(spec.mean),
        "image_std": list(spec.std),
        "do_sample_frames": True,
    }


def _write_json(path: Path, content: Facts) -> None:
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


# ------------------------------------------------------------------------ called from there


def build_from(entry: Facts, num_labels: int) -> VideoModel:
    """The network of a config's entry, without numbers: transformers puts in the file's."""
    item = without_vouchers(Entry.model_validate({**entry, "labels": ()}))
    return build(item, num_classes=num_labels, device=str(torch.get_default_device()))


def logits(model: VideoModel, clip: Tensor, training: bool) -> Tensor:
    """(B, 3, T, S, S) -> (B, num_classes), whose softmax or sigmoid are the protocol's scores.

    In training the head's own logits.
    """
    activation = model.entry.protocol.activation
    with activated(model, None if training else activation):
        found: Tensor = model(clip)
    if training:
        return found
    limits = torch.finfo(found.dtype)
    logarithms = found.clamp_min(limits.tiny).log()
    if activation == "softmax":
        return logarithms
    return logarithms - torch.log1p(-found.clamp_max(1 - limits.eps))


def frames_of_clip(
    input_spec: Facts, protocol: Facts, num_frames: int, fps: float | None
) -> list[int]:
    """Which of a video's frames make the protocol's only clip; 30 a second if not told."""
    return _first_clip(input_spec, protocol, Timestamps.regular(num_frames, fps or 30.0))


def _first_clip(input_spec: Facts, protocol: Facts, timestamps: Timestamps) -> list[int]:
    spec = InputSpec.model_validate(input_spec)
    one = Protocol.model_validate({**protocol, "num_clips": 1, "num_crops": 1})
    return list(plan_views(timestamps, spec, one).clips[0].frames)


def read_clip(
    input_spec: Facts, protocol: Facts, source: str, *, whole: bool = False
) -> tuple[Tensor, dict[str, Any]]:
    """A video file -> the frames of its only clip, uint8 (T, 3, H, W), and facts about it.

    ``whole``: all of its frames. Raises VideoError.
    """
    with open_video(source) as video:
        times = video.timestamps
        count = len(times.pts)
        taken = list(range(count)) if whole else _first_clip(input_spec, protocol, times)
        raw = {
            number: torch.from_numpy(pixels) for number, pixels in video.frames(sorted(set(taken)))
        }
    frames = torch.stack([raw[number] for number in taken]).permute(0, 3, 1, 2)
    duration = float(times.duration)
    facts = {
        "total_num_frames": count,
        "fps": count / duration if duration else None,
        "duration": duration,
        "height": frames.shape[2],
        "width": frames.shape[3],
        "frames_indices": taken,
    }
    return frames, facts


def pixels(input_spec: Facts, frames: Tensor) -> Tensor:
    """(T, 3, H, W) -> (3, T, S, S), before the pathways are packed."""
    spec = InputSpec.model_validate(input_spec).model_copy(update={"slowfast_alpha": None})
    found: ModelInput = ClipTransform(spec)(frames)
    assert isinstance(found, Tensor)
    return found
