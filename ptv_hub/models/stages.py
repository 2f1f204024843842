"""What a model sees on the way: its stages' outputs, with their channels and strides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from ptv_hub.errors import UnknownName, UsageError
from ptv_hub.models.architectures import made
from ptv_hub.models.roads import ROW, Pathways, road_of
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
    index: int
    """0 of the stem, then the stage's number: what ``out_indices`` counts."""

    def __getitem__(self, key: str) -> object:
        """A fact by timm's name for it: ``num_chs``, ``reduction`` (in space), ``module``."""
        return self._facts()[key]

    def _facts(self) -> dict[str, object]:
        return {
            "num_chs": self.channels,
            "reduction": self.stride_space,
            "module": f"blocks.{self.block}",
            "index": self.index,
        }


class FeatureInfo(tuple[Stage, ...]):
    """What stages give, as timm's ``FeatureInfo`` tells it: ``model.feature_info.channels()``."""

    def channels(self) -> list[int]:
        return [stage.channels for stage in self]

    def reduction(self) -> list[int]:
        """Pixels of the crop to one position, in each direction; ``stride_time`` has the frames."""
        return [stage.stride_space for stage in self]

    def module_name(self) -> list[str]:
        return [f"blocks.{stage.block}" for stage in self]

    @property
    def out_indices(self) -> list[int]:
        """The numbers of the stages, as ``out_indices`` of ``load`` counts them."""
        return list(dict.fromkeys(stage.index for stage in self))

    def get_dicts(self) -> list[dict[str, object]]:
        return [stage._facts() for stage in self]


@cache
def stages(entry: Entry) -> FeatureInfo:
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
    net = made(entry, "meta").eval()
    side = 32 * -(-entry.input.train_crop_size // 32)
    frames, alpha = entry.input.num_frames, entry.input.slowfast_alpha
    clip = torch.empty(1, 3, frames, side, side, device="meta")
    x: Pathways = clip if alpha is None else [clip[:, :, : frames // alpha], clip]
    found: list[Stage] = []
    count = 0
    blocks: list[nn.Module] = list(net.get_submodule("blocks").children())
    for number, block in enumerate(blocks[:-1]):
        x = block(x)
        # Pools between stages, and the concatenation before the head, are no stages.
        if not any(isinstance(part, nn.Conv3d) for part in block.modules()):
            continue
        name = f"stage{count}" if count else "stem"
        outputs = [x] if isinstance(x, Tensor) else list(x)
        for pathway, output in enumerate(outputs):
            several = len(outputs) > 1
            found.append(
                Stage(
                    f"{name}.{('slow', 'fast')[pathway]}" if several else name,
                    number,
                    pathway if several else None,
                    output.shape[1],
                    frames // output.shape[2],
                    side // output.shape[3],
                    count,
                )
            )
        count += 1
    return FeatureInfo(found)


def stages_at(entry: Entry, indices: Sequence[int]) -> FeatureInfo:
    """The stages with these numbers, from 0 for the stem, negative ones from the end.

    Of a SlowFast each number is of two outputs, the slow pathway's first.

    Raises:
        UsageError: there is no stage of that number, or none is asked for; and as ``stages``.
    """
    known = stages(entry)
    count = known[-1].index + 1
    wanted = [index + count if index < 0 else index for index in indices]
    if not wanted or any(not 0 <= index < count for index in wanted):
        raise UsageError(
            f"{entry.name} has no such stages",
            expected=f"some of 0 (the stem) to {count - 1}, or -1 to -{count} from the end",
            found=f"out_indices={tuple(indices)}",
        )
    return FeatureInfo(stage for index in wanted for stage in known if stage.index == index)


def find_stage(entry: Entry, name: str) -> Stage:
    """The stage of that name. Raises UnknownName."""
    known = stages(entry)
    for stage in known:
        if stage.name == name:
            return stage
    names = [stage.name for stage in known]
    raise UnknownName("stage", name, names, see=f"{entry.name} has {', '.join(names)}")
