"""An entry -> its model: pytorchvideo's network (``architectures``) with one face for all.

The parts are pytorchvideo's; what differs between its releases (which heads end in a
softmax), and what trips its users (a SlowFast that overwrites its input list, strides that
are numpy integers) is settled here, once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from typing_extensions import Self

from ptv_hub.errors import UnknownName, UsageError
from ptv_hub.models.architectures import made
from ptv_hub.models.boxes import checked_boxes
from ptv_hub.models.heads import new_classifier
from ptv_hub.models.hub_habits import HubHabits
from ptv_hub.models.inputs import checked_clip, wrong_input
from ptv_hub.models.plain import FullPrecision
from ptv_hub.models.roads import Pathways
from ptv_hub.models.timm_habits import TimmHabits
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.input_spec import InputSpec, SlowFrames
from ptv_hub.zoo.origin import Origin

Activation = Literal["softmax", "sigmoid"]

ACTIVATIONS: dict[str | None, Callable[[], nn.Module | None]] = {
    None: lambda: None,
    "softmax": lambda: nn.Softmax(dim=1),
    "sigmoid": nn.Sigmoid,
}


class ActionModel(Protocol):
    """What can be called with clips and says what it is: a ``VideoModel``, or a faster one."""

    entry: Entry
    origin: Origin | None
    activation: Activation | None
    training: bool

    def __call__(self, clip: Tensor | Sequence[Tensor], /) -> Tensor:
        """Clips, as ``VideoModel`` takes them -> (B, num_classes)."""

    def eval(self) -> Self: ...

    def to(self, device: torch.device | str, /) -> Self: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...


@contextmanager
def activated(model: ActionModel, activation: Activation | None) -> Iterator[None]:
    """Within it the model's head has this activation; after it the one it had before."""
    before = model.activation
    model.activation = activation
    try:
        yield
    finally:
        model.activation = before


class VideoModel(HubHabits, TimmHabits, FullPrecision):
    """A model of the zoo; its ``state_dict()`` has the official keys (``blocks.0...``).

    Called with one clip, float, shape (B, 3, T, H, W), or, of a model with two pathways,
    with the list ``[slow, fast]`` of shapes (B, 3, T // alpha, H, W) and (B, 3, T, H, W);
    from a plain clip the slow pathway's frames are taken as PySlowFast takes them. H and W
    may be any size that leaves the head a position; the protocol's is ``input.crop_size``.

    A model for detection also takes boxes, as pytorchvideo's do: float, shape (N, 5), of each box
    the number of its clip in the batch and its corners x1, y1, x2, y2 in pixels of the clip; or a
    list of a tensor (n, 4) for each clip.

    Returns (B, num_classes): logits, the mean over the head's positions; or, with an
    activation, PySlowFast's test-time scores: the activation at each position, then the mean.
    With boxes (N, num_classes).
    """

    blocks: nn.ModuleList
    """Of most networks all that they have; see ``roads``."""

    def __init__(self, net: nn.Module, entry: Entry, activation: Activation | None) -> None:
        super().__init__()
        for name, part in net.named_children():
            self.add_module(name, part)  # under the same name, for the same keys
        self.entry = entry
        self.origin: Origin | None = None
        self._slow_frames = _slow_frames_of(entry.input)
        self._head_hidden_size = int(self.get_classifier().weight.shape[1])
        self.activation = activation

    @property
    def activation(self) -> Activation | None:
        """What the head applies at each position before the mean; ``None`` returns logits."""
        return self._activation

    @activation.setter
    def activation(self, name: Activation | None) -> None:
        if name not in ACTIVATIONS:
            raise UnknownName(
                "activation",
                name,
                [known for known in ACTIVATIONS if known is not None],
                see="there are: None (logits), 'softmax', 'sigmoid'",
            )
        self._activation: Activation | None = name
        owner, place = self._road.activation(self)
        setattr(owner, place, ACTIVATIONS[name]())

    def forward(
        self,
        clip: Tensor | Sequence[Tensor],
        boxes: Tensor | Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Logits or scores (B, num_classes), of boxes (N, num_classes); see the class.

        Raises:
            WrongInput: clips or boxes of other shapes or types than the model takes.
        """
        return self.through(self.pathways(clip), boxes)

    def through(self, pathways: Pathways, boxes: Tensor | Sequence[Tensor] | None = None) -> Tensor:
        """As ``forward``, of what ``pathways`` returned: (B, num_classes)."""
        clip = pathways if isinstance(pathways, Tensor) else pathways[0]
        checked = checked_boxes(self.entry, boxes, clip.shape[0])
        return self.through_head(self.before_head(pathways), checked)

    def before_head(self, pathways: Pathways) -> Pathways:
        """What the head takes: the last map of each pathway, or tokens."""
        return self._road.body(self, pathways, self._run)

    def through_head(self, features: Pathways, boxes: Tensor | None = None) -> Tensor:
        """What the head makes of it: (B, num_classes), or with boxes (N, num_classes)."""
        return self._road.head(self, features, boxes)

    def forward_features(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        """Clips, as ``forward`` takes them -> what the head takes.

        The last map (B, num_features, T', H', W'), of a SlowFast those of both pathways, pooled
        as its head does; of a transformer the tokens (B, 1 + T' * H' * W', num_features).
        """
        features = self.before_head(self.pathways(clip))
        assert isinstance(features, Tensor), "pathways are joined before the head"
        return features

    def forward_head(
        self,
        features: Tensor,
        pre_logits: bool = False,
        boxes: Tensor | Sequence[Tensor] | None = None,
    ) -> Tensor:
        """What ``forward_features`` returned -> what ``forward`` returns, bit for bit.

        With ``pre_logits`` what the classifier sees: (B, head_hidden_size), the mean over the
        head's positions. ``boxes`` as for ``forward``. Raises WrongInput, of boxes.
        """
        checked = checked_boxes(self.entry, boxes, features.shape[0])
        if pre_logits:
            return self._road.pooled(self, features, checked)
        return self.through_head(features, checked)

    def reset_classifier(self, num_classes: int, labels: Sequence[str] = ()) -> None:
        """Put a new classifier in place of the one there is, initialised as pytorchvideo's.

        ``model.entry`` then has that many classes, and ``labels`` as their names. With 0 there is
        none: pooled features (B, head_hidden_size) come back, and no activation is applied.

        Raises:
            UsageError: a negative number, or another number of labels.
        """
        if isinstance(labels, str):  # timm's second argument is a way of pooling
            raise UsageError(
                "labels are a list of names",
                expected="['one', 'two', ...]; the head pools as published",
                found=repr(labels),
            )
        if num_classes < 0 or (labels and len(labels) != num_classes):
            raise UsageError(
                "a classifier has as many labels as classes, or none",
                expected="0 classes or more",
                found=f"{num_classes} classes, {len(labels)} labels",
            )
        here = next(self.parameters())
        owner, _, name = self.classifier.rpartition(".")
        new = new_classifier(num_classes, self.head_hidden_size, here)
        setattr(self.get_submodule(owner), name, new)
        update = {"num_classes": num_classes, "labels": tuple(labels)}
        self.entry = self.entry.model_copy(update=update)
        if not num_classes:
            self.activation = None

    def pathways(self, clip: Tensor | Sequence[Tensor]) -> Pathways:
        """What the first block takes of clips (B, 3, T, H, W): checked; of two pathways a list.

        Raises WrongInput, of other shapes and types. The list is one of our own.
        """
        spec = self.entry.input
        if self._slow_frames is None:
            if not isinstance(clip, Tensor):
                raise wrong_input(self.entry, f"a {type(clip).__name__} of {len(clip)}")
            checked_clip(self.entry, clip, spec.num_frames)
            return clip
        if isinstance(clip, Tensor):
            checked_clip(self.entry, clip, spec.num_frames)
            return [taken(clip, self._slow_frames), clip]
        if len(clip) != 2:
            raise wrong_input(self.entry, f"a list of {len(clip)}")
        slow, fast = clip
        checked_clip(self.entry, slow, len(self._slow_frames))
        checked_clip(self.entry, fast, spec.num_frames)
        # A new list: pytorchvideo's multi-pathway blocks write into the one they are given.
        return [slow, fast]


def _slow_frames_of(spec: InputSpec) -> list[int] | None:
    if spec.slowfast_alpha is None:
        return None
    return slow_frames(spec.num_frames, spec.slowfast_alpha, spec.slow_frames)


def slow_frames(num_frames: int, alpha: int, how: SlowFrames = "linspace") -> list[int]:
    """Which frames of the fast pathway the slow one takes.

    ``linspace(0, T-1, T // alpha)``, cut, as ``pack_pathway_output`` of PySlowFast's
    ``slowfast/datasets/utils.py``; or the nearest, which is every alpha-th, as
    ``resnet3d_slowfast.py`` of MMAction2.
    """
    if how == "nearest":
        return list(range(0, num_frames, alpha))
    return torch.linspace(0, num_frames - 1, num_frames // alpha).long().tolist()


def taken(clip: Tensor, frames: Sequence[int]) -> Tensor:
    """Frames of a clip (..., T, H, W), in memory of their own, in the order given.

    Each is copied whole: by an index every number is looked up, which of a crop takes five times
    as long; and on a GPU the index would have to be sent there first.
    """
    return torch.cat([clip.narrow(-3, frame, 1) for frame in frames], dim=-3)


def build(
    entry: Entry,
    *,
    num_classes: int | None = None,
    activation: Activation | None = None,
    device: str = "cpu",
) -> VideoModel:
    """A model without the zoo's weights, in training mode.

    ``device="meta"`` builds the structure alone, without memory for weights; on a real
    device the weights are initialised as pytorchvideo does. ``num_classes`` other than the
    entry's gives a head of that size, and ``model.entry`` then has no labels.
    """
    if num_classes is not None and num_classes != entry.num_classes:
        entry = entry.model_copy(update={"num_classes": num_classes, "labels": ()})
    return VideoModel(made(entry, device), entry, activation)


@cache
def shapes(entry: Entry) -> dict[str, tuple[int, ...]]:
    """Official key -> shape of every tensor in the entry's state dict. Allocates no weights."""
    return {key: tuple(t.shape) for key, t in build(entry, device="meta").state_dict().items()}
