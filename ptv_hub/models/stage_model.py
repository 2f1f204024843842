"""A model without its head: what it sees on the way.

As timm's ``features_only``: ``ptv_hub.load(name, features_only=True)`` is a ``StageModel``.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ptv_hub.models.builders import VideoModel
from ptv_hub.models.plain import FullPrecision
from ptv_hub.models.stages import FeatureInfo, find_stage, stages, stages_at


class StageModel(FullPrecision):
    """A model of the zoo without its head: called with a clip, it returns the stages' outputs.

    Takes what ``VideoModel`` takes. Returns a list of tensors (B, channels, T', H', W') as
    ``feature_info`` names them. Its keys are the official ones, without the head's.
    """

    def __init__(
        self,
        model: VideoModel,
        names: Sequence[str] | None = None,
        *,
        out_indices: Sequence[int] | None = None,
    ) -> None:
        """The stages named, or of these numbers, or all, of ``model``, whose blocks are shared.

        Raises:
            UnknownName, UsageError: as ``find_stage`` and ``stages_at``.
        """
        super().__init__()
        self.entry = model.entry
        self.feature_info = stages(model.entry)
        if names is not None:
            self.feature_info = FeatureInfo(find_stage(model.entry, name) for name in names)
        elif out_indices is not None:
            self.feature_info = stages_at(model.entry, out_indices)
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
