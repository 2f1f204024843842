"""What a model sees on the way: its stages' outputs, with their channels and strides.

As timm's ``features_only``: ``ptv_hub.load(name, features_only=True)`` is a ``StageModel``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from ptv_hub.errors import UnknownName, UsageError
from ptv_hub.models.builders import VideoModel, build
from ptv_hub.models.plain import FullPrecision
from ptv_hub.models.roads import ROW, road_of
from ptv_hub.zoo.entry import Entry


@dataclass(frozen=True)
class Stage:
    """One output on the way. ``stem``, then ``stage1`` to ``stage4`` (res2 to res5 in the papers);
    of a SlowFast ``stage1.slow`` and ``stage1.fast``, and so on."""

    name: str
    block: int
    """Its number among ``model.blocks``."""
    pathway: int | None
    """0 is the slow, 1 the fast one; ``None`` where there is only one."""
    channels: int
    """Of the slow pathway with those that the fusion brings from the fast one."""
    stride_time: int
    """Frames of the clip to one step of the output."""
    stride_space: int
    """Pixels of the crop to one position of the output, in each direction."""


@cache
def stages(entry: Entry) -> tuple[Stage, ...]:
    """The stages of an entry's model, in order. Measured on the meta device, without weights.

    Raises:
        UsageError: it is no network of blocks in a row.
    """
    if road_of(entry) is not ROW:
        raise UsageError(
            f"{entry.name} has no stages",
            expected="a network of blocks in a row, with a map behind each",
            found=f"{entry.arch}, with a head for boxes" if entry.head.takes_boxes else entry.arch,
            fix="num_classes=0 gives what the classifier would see",
        )
    model = build(entry, device="meta").eval()
    side = 32 * -(-entry.input.train_crop_size // 32)
    clip = torch.empty(1, 3, entry.input.num_frames, side, side, device="meta")
    found: list[Stage] = []
    x = model.pathways(clip)
    count = 0
    for number, block in enumerate(model.blocks[:-1]):
        x = block(x)
        # Pools between stages, and the concatenation before the head, are no stages.
        if not any(isinstance(part, nn.Conv3d) for part in block.modules()):
            continue
        name = f"stage{count}" if count else "stem"
        count += 1
        outputs = [x] if isinstance(x, Tensor) else list(x)
        for pathway, output in enumerate(outputs):
            several = len(outputs) > 1
            found.append(
                Stage(
                    f"{name}.{('slow', 'fast')[pathway]}" if several else name,
                    number,
                    pathway if several else None,
                    output.shape[1],
                    clip.shape[2] // output.shape[2],
                    side // output.shape[3],
                )
            )
    return tuple(found)


def find_stage(entry: Entry, name: str) -> Stage:
    """The stage of that name. Raises UnknownName."""
    known = stages(entry)
    for stage in known:
        if stage.name == name:
            return stage
    names = [stage.name for stage in known]
    raise UnknownName("stage", name, names, see=f"{entry.name} has {', '.join(names)}")


class StageModel(FullPrecision):
    """A model of the zoo without its head: called with a clip, it returns the stages' outputs.

    Takes what ``VideoModel`` takes. Returns a list of tensors (B, channels, T', H', W') as
    ``feature_info`` names them. Its keys are the official ones, without the head's.
    """

    def __init__(self, model: VideoModel, names: Sequence[str] | None = None) -> None:
        """The stages named, or all, of ``model``, whose blocks are shared, not copied."""
        super().__init__()
        self.entry = model.entry
        known = stages(model.entry)
        self.feature_info: tuple[Stage, ...] = (
            known if names is None else tuple(find_stage(model.entry, name) for name in names)
        )
        self._pathways = model.pathways
        last = max(stage.block for stage in self.feature_info)
        self.blocks = nn.ModuleList(model.blocks[: last + 1])
        self.train(model.training)

    def forward(self, clip: Tensor | Sequence[Tensor]) -> list[Tensor]:
        x = self._pathways(clip)
        outputs: dict[int, list[Tensor]] = {}
        for number, block in enumerate(self.blocks):
            # A new list each time: the blocks of a SlowFast write into the one they are given.
            x = block(x if isinstance(x, Tensor) else list(x))
            outputs[number] = [x] if isinstance(x, Tensor) else list(x)
        return [outputs[stage.block][stage.pathway or 0] for stage in self.feature_info]


def without_classifier(model: VideoModel) -> VideoModel:
    """The same model, changed to return its pooled features: what the classifier would see.

    (B, D), the mean over the head's positions; ``model.entry`` then has no classes.
    """
    owner, _, layer = model.classifier.rpartition(".")
    setattr(model.get_submodule(owner), layer, nn.Identity())
    model.entry = model.entry.model_copy(update={"num_classes": 0, "labels": ()})
    model.activation = None
    return model
