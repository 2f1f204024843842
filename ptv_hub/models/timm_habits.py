"""What timm's users reach for on a model: its sizes, its layers, what learns and how fast.

Names, defaults and numbers are those of timm 1.0: ``timm.optim`` takes these models as its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from torch import nn
from typing_extensions import Self

from ptv_hub.errors import UsageError
from ptv_hub.models.checkpointing import Run, plainly, recomputing
from ptv_hub.models.roads import JOINED, Road, road_of
from ptv_hub.models.stages import FeatureInfo, stages
from ptv_hub.zoo.entry import Entry

Matcher = dict[str, Any]
"""timm's: name of a group -> pattern, or patterns with a suffix each."""


class TimmHabits(nn.Module):
    """The part of a ``VideoModel`` that is timm's."""

    entry: Entry
    _head_hidden_size: int
    _run: Run = staticmethod(plainly)
    _frozen_stages: int = 0

    @property
    def _road(self) -> Road:
        return road_of(self.entry)

    @property
    def parts(self) -> list[nn.Module]:
        """What clips go through, in order, the head last."""
        return self._road.parts(self)

    @property
    def classifier(self) -> str:
        """Name of the layer that gives one score a class; its last input axis are the features."""
        return self._road.classifier(self)

    def get_classifier(self) -> Any:
        """The layer that gives one score a class; ``nn.Identity`` where there is none."""
        return self.get_submodule(self.classifier)

    @property
    def num_classes(self) -> int:
        """0 where the classifier was left out."""
        return self.entry.num_classes

    @property
    def num_features(self) -> int:
        """Channels of what ``forward_features`` returns."""
        if self.entry.builder.name in ("x3d", "efficient_x3d"):
            return self._last_channels()
        return self._head_hidden_size

    @property
    def head_hidden_size(self) -> int:
        """Numbers that the classifier sees of a clip: more than ``num_features`` of an X3D, whose
        head has a layer of its own."""
        return self._head_hidden_size

    def _last_channels(self) -> int:
        own = "blocks.5" if self.entry.builder.name == "x3d" else "head"
        modules: Iterable[Any] = self.get_submodule(own).modules()
        # By shapes: of a model that was made faster the convolutions are of another class.
        found = (one.weight.shape[1] * one.groups for one in modules if hasattr(one, "groups"))
        return int(next(found))

    @property
    def feature_info(self) -> FeatureInfo:
        """The stages that ``load(name, features_only=True)`` returns. Raises UsageError where
        there are none: of transformers, of X3D for mobile processors, and for detection."""
        return stages(self.entry)

    # ------------------------------------------------------------------ memory for time

    @property
    def grad_checkpointing(self) -> bool:
        """Whether residual blocks are computed again for the gradients."""
        return self._run is not plainly

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Keep no intermediate values of residual blocks for the gradients: compute them again.

        The gradients are the same, and so are the statistics of batch norms. What is kept is a
        quarter to a third; a step takes about a third more time.
        """
        self._run = recomputing if enable else plainly

    # ------------------------------------------------------------------ what learns

    def freeze_stages(self, num_stages: int) -> None:
        """Let the first parts of the network stay as they are, and all others be as they were.

        Their parameters learn nothing, and their norms keep their statistics, in ``train()`` too.
        ``num_stages`` counts ``parts``, as ``finetune --freeze-stages`` does: 1 is the stem, pools
        between stages count. 0 sets free what an earlier call froze.

        Raises:
            UsageError: more than there are before the head.
        """
        parts = self.parts
        if not 0 <= num_stages < len(parts):
            raise UsageError(
                f"{self.entry.name} has not that many stages to freeze",
                expected=f"0 to {len(parts) - 1}: the parts before the head",
                found=num_stages,
            )
        for part in parts[: self._frozen_stages]:
            part.requires_grad_(True).train(self.training)
        self._frozen_stages = num_stages
        for part in parts[:num_stages]:
            part.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """As torch's; frozen stages stay in eval mode."""
        super().train(mode)
        for part in self.parts[: self._frozen_stages]:
            part.eval()
        return self

    def group_matcher(self, coarse: bool = False) -> Matcher:
        """The patterns by which ``timm.optim`` finds layers; ``coarse`` are stages."""
        layers = self._road.layers
        return {"stem": layers.stem, "blocks": list(layers.stages if coarse else layers.blocks)}

    def no_weight_decay(self) -> set[str]:
        """Names of parameters with more than one axis that do not decay: a transformer's places
        and class token."""
        return set(self._road.undecayed)

    def param_groups(
        self,
        weight_decay: float = 0.05,
        layer_decay: float | None = None,
        *,
        lr: float | None = None,
    ) -> list[dict[str, Any]]:
        """Groups of the parameters that learn, for an optimizer of torch's or timm's.

        What has one axis (biases, norms) and what ``no_weight_decay`` names does not decay. With
        ``layer_decay`` the head learns at full rate and each layer before it at ``layer_decay``
        times the rate of the next: the stem, each residual block, and the head are a layer. Groups
        then have an ``lr_scale``, which timm's schedulers take; with ``lr`` also the rate itself,
        which torch's optimizers take. Source: ``timm/optim/_param_groups.py``.
        """
        order = self._layer_of_parameters() if layer_decay is not None else {}
        last = max(order.values(), default=0)
        groups: dict[tuple[int, bool], dict[str, Any]] = {}
        exempt = self.no_weight_decay()
        for name, parameter in self.named_parameters():
            if not parameter.requires_grad:
                continue
            decays = parameter.dim() > 1 and name not in exempt
            layer = order.get(name, last)
            if (layer, decays) not in groups:
                group: dict[str, Any] = {"params": [], "weight_decay": weight_decay * decays}
                scale = 1.0 if layer_decay is None else layer_decay ** (last - layer)
                group |= {} if layer_decay is None else {"lr_scale": scale}
                group |= {} if lr is None else {"lr": lr * scale}
                groups[layer, decays] = group
            groups[layer, decays]["params"].append(parameter)
        return list(groups.values())

    def _layer_of_parameters(self) -> dict[str, int]:
        """Name of each parameter -> the number of its layer, the head's last."""
        layers = self._road.layers
        patterns = [(layers.stem, None), *layers.blocks]
        places = {name: _place(name, patterns) for name, _ in self.named_parameters()}
        number, numbers = -1, {}
        for place in sorted(set(places.values())):
            number += number < 0 or place[-1] != JOINED[0]
            numbers[place] = number
        return {name: numbers[place] for name, place in places.items()}


def _place(name: str, patterns: list[tuple[str, tuple[int] | None]]) -> tuple[float, ...]:
    """What parameters are ordered by: kind of layer, then the numbers in their name."""
    for count, (pattern, suffix) in enumerate(patterns):
        found = re.match(pattern, name)
        if found:
            kind = min(count, 1)
            return (kind, *(int(number) for number in found.groups()), *(suffix or ()))
    return (float("inf"),)
