"""An entry -> its model: pytorchvideo's network (``architectures``) with one face for all.

The parts are pytorchvideo's; what differs between its releases (which heads end in a
softmax), and what trips its users (a SlowFast that overwrites its input list, strides that
are numpy integers) is settled here, once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from typing_extensions import Self

from ptv_hub.errors import UnknownName, WrongInput
from ptv_hub.models.architectures import head_side, network
from ptv_hub.models.boxes import checked_boxes
from ptv_hub.models.hollow import hollow
from ptv_hub.models.plain import FullPrecision, make_plain
from ptv_hub.models.pytorchvideo_imports import light_imports
from ptv_hub.models.roads import Pathways, Road, road_of
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


class VideoModel(FullPrecision):
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

    def forward(
        self,
        clip: Tensor | Sequence[Tensor],
        boxes: Tensor | Sequence[Tensor] | None = None,
    ) -> Tensor:
        return self.through(self.pathways(clip), boxes)

    def through(self, pathways: Pathways, boxes: Tensor | Sequence[Tensor] | None = None) -> Tensor:
        """As ``forward``, of what ``pathways`` returned."""
        clip = pathways if isinstance(pathways, Tensor) else pathways[0]
        checked = checked_boxes(self.entry, boxes, clip.shape[0])
        return self.through_head(self.before_head(pathways), checked)

    def before_head(self, pathways: Pathways) -> Pathways:
        """What the head takes: the last map of each pathway, or tokens."""
        return self._road.body(self, pathways)

    def through_head(self, features: Pathways, boxes: Tensor | None = None) -> Tensor:
        """What the head makes of it: (B, num_classes), or with boxes (N, num_classes)."""
        return self._road.head(self, features, boxes)

    def pathways(self, clip: Tensor | Sequence[Tensor]) -> Pathways:
        """What the first block takes: checked, and for two pathways a list of our own."""
        spec = self.entry.input
        if self._slow_frames is None:
            if not isinstance(clip, Tensor):
                raise _wrong_input(self.entry, f"a {type(clip).__name__} of {len(clip)}")
            _check(self.entry, clip, spec.num_frames)
            return clip
        if isinstance(clip, Tensor):
            _check(self.entry, clip, spec.num_frames)
            return [clip[:, :, self._slow_frames], clip]
        if len(clip) != 2:
            raise _wrong_input(self.entry, f"a list of {len(clip)}")
        slow, fast = clip
        _check(self.entry, slow, len(self._slow_frames))
        _check(self.entry, fast, spec.num_frames)
        # A new list: pytorchvideo's multi-pathway blocks write into the one they are given.
        return [slow, fast]


def _check(item: Entry, clip: Tensor, frames: int) -> None:
    sides = clip.shape[3:]
    low, high = _side_from(item), _side_to(item)
    if (
        clip.dim() != 5
        or clip.shape[1] != 3
        or clip.shape[2] != frames
        or not all(low <= side and (high is None or side <= high) for side in sides)
        or not clip.is_floating_point()
    ):
        dtype = str(clip.dtype).removeprefix("torch.")
        raise _wrong_input(item, f"{dtype} of shape {tuple(clip.shape)}")


def _wrong_input(item: Entry, found: str) -> WrongInput:
    spec = item.input
    fast = f"(B, 3, {spec.num_frames}, {spec.crop_size}, {spec.crop_size})"
    expected = f"float of shape {fast}"
    if spec.slowfast_alpha is not None:
        frames = spec.num_frames // spec.slowfast_alpha
        slow = f"(B, 3, {frames}, {spec.crop_size}, {spec.crop_size})"
        expected = f"[slow {slow}, fast {fast}], or one clip {fast}, float"
    if _side_to(item) is None:
        expected += f"; height and width may be others, from {_side_from(item)} up"
    return WrongInput(
        f"{item.name} cannot take this input",
        expected=expected,
        found=found,
        fix=f"ptv_hub.transform({item.name!r}) makes the right input from frames",
    )


def _side_from(item: Entry) -> int:
    """Side in pixels from which on the head has something to pool."""
    if item.head.pooling == "token":
        return item.input.crop_size
    return _smallest_side(item.input) if item.head.pooling == "windowed" else 1


def _side_to(item: Entry) -> int | None:
    """Side in pixels that must not be passed: a transformer's places are of one size of crop."""
    return item.input.crop_size if item.head.pooling == "token" else None


def _smallest_side(spec: InputSpec) -> int:
    """Side in pixels from which on the head's pool, sized for the training crop, has a position."""
    return 32 * (head_side(spec) - 1) + 1


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
    with (
        hollow() if device == "meta" else torch.device(device),
        warnings.catch_warnings(),
        light_imports(),
    ):
        # pytorchvideo 0.1.5 uses torch.jit.script on import; its users can do nothing about it.
        warnings.simplefilter("ignore")
        net = network(entry)
    make_plain(net)
    return VideoModel(net, entry, activation)


@cache
def shapes(entry: Entry) -> dict[str, tuple[int, ...]]:
    """Official key -> shape of every tensor in the entry's state dict. Allocates no weights."""
    return {key: tuple(t.shape) for key, t in build(entry, device="meta").state_dict().items()}
