"""A model -> the same function with less to do: batch norms folded, activations fused.

What may be joined is read off a run of no clips, by which tensor went from which module to
which: a batch norm that takes a convolution's output goes into its weights, a ReLU or Swish
behind it into its kernel. That needs no knowledge of the architectures, and no arithmetic. The
sum at the end of a residual block is no module: there the block's own parts are looked at.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights
from typing_extensions import Self

from ptv_hub.models.builders import VideoModel

_ACTIVATIONS = {"ReLU": "relu", "Swish": "swish"}
"""Class of a module -> name of the kernel's own activation. Swish is pytorchvideo's SiLU."""

_SHAPES = 2
"""Of inputs, for which packed weights are kept: full batches, and a last one that is not."""


class FusedConv(nn.Module):
    """A convolution with its batch norm in the weights, and the activation behind it."""

    def __init__(self, conv: nn.Conv3d, norm: nn.BatchNorm3d | None, activation: str) -> None:
        super().__init__()
        weight, bias = conv.weight.detach(), conv.bias
        if norm is not None:
            weight, bias = _folded(weight, bias, norm)
        self.weight = nn.Parameter(
            weight.contiguous(memory_format=torch.channels_last_3d), requires_grad=False
        )
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self.activation = activation
        self.stride, self.padding = conv.stride, conv.padding
        self.dilation, self.groups = conv.dilation, conv.groups
        self._packed: dict[torch.Size, Tensor] | None = None

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """``activation(conv(x) + other)``."""
        if x.dtype is not self.weight.dtype:
            x = x.to(self.weight.dtype)
        if self._packed is not None:
            return self._fused(x, other)
        y = functional.conv3d(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )
        if other is not None:
            y = y + other
        if self.activation == "none":
            return y
        return y.relu_() if self.activation == "relu" else functional.silu(y, inplace=True)

    def pack_weights(self) -> None:
        """From now on use oneDNN's kernel, which adds and activates before it writes."""
        self._packed = {}

    def cast(self, dtype: torch.dtype) -> None:
        """Compute in another type: the weights are converted once, not at every call."""
        self.weight.data = self.weight.data.to(dtype)
        if self.bias is not None:
            self.bias.data = self.bias.data.to(dtype)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._packed = None  # of a tensor that is about to be another, perhaps on a GPU
        nn.Module._apply(self, fn, recurse)
        return self

    def _fused(self, x: Tensor, other: Tensor | None) -> Tensor:
        weight = self._packed_for(x.shape)
        shape = self.padding, self.stride, self.dilation, self.groups
        run = torch.ops.mkldnn._convolution_pointwise
        y: Tensor
        if other is None:
            y = run(x, weight, self.bias, *shape, self.activation, [], "")
        else:
            unary = None if self.activation == "none" else self.activation
            y = run.binary(x, other, weight, self.bias, *shape, "add", 1.0, unary, [], None)
        return y

    def _packed_for(self, shape: torch.Size) -> Tensor:
        """The weights in the order in which the kernel for inputs of this shape wants them.

        Packed for another shape they would be put in order at every call, which for a layer of
        many channels takes longer than the convolution.
        """
        assert self._packed is not None
        if shape not in self._packed:
            if len(self._packed) == _SHAPES:
                del self._packed[next(iter(self._packed))]
            self._packed[shape] = torch.ops.mkldnn._reorder_convolution_weight(
                self.weight.detach(),
                self.padding,
                self.stride,
                self.dilation,
                self.groups,
                list(shape),
            )
        return self._packed[shape]


def _folded(weight: Tensor, bias: Tensor | None, norm: nn.BatchNorm3d) -> tuple[Tensor, Tensor]:
    """Weights and bias of a convolution that does the batch norm's work too; in float64."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    folded = fuse_conv_bn_weights(
        weight.double(),
        _double(bias),
        norm.running_mean.double(),
        norm.running_var.double(),
        norm.eps,
        _double(norm.weight),
        _double(norm.bias),
    )
    new_weight, new_bias = (tensor.detach().to(weight.dtype) for tensor in folded)
    return new_weight, new_bias


def _double(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.double()


class Residual(nn.Module):
    """A residual block whose sum and activation are its last convolution's."""

    def __init__(self, shortcut: nn.Module | None, inner: nn.Sequential, last: FusedConv) -> None:
        super().__init__()
        self.shortcut = shortcut
        self.inner = inner
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        other = x if self.shortcut is None else self.shortcut(x)
        y: Tensor = self.last(self.inner(x), other)
        return y


class Gate(nn.Module):
    """Squeeze and excitation: each channel times a number from the means of all, in place."""

    def __init__(self, squeeze: nn.Conv3d, excite: nn.Conv3d) -> None:
        super().__init__()
        # Kernels of 1 x 1 x 1 on one position: a convolution's set-up costs more than the work.
        self.squeeze, self.excite = _linear(squeeze), _linear(excite)

    def forward(self, x: Tensor) -> Tensor:
        # (B, C, T, H, W) -> (B, T, H * W, C), a view of channels_last_3d; the mean of the frames'
        # means, since the kernel for one mean of all is half as fast.
        means = x.permute(0, 2, 3, 4, 1).flatten(2, 3).mean(dim=2).mean(dim=1)
        gate = self.excite(self.squeeze(means).relu_()).sigmoid_()
        return x.mul_(gate[:, :, None, None, None].to(x.dtype))


def _linear(conv: nn.Conv3d) -> nn.Linear:
    linear = nn.Linear(conv.in_channels, conv.out_channels, device="meta")
    linear.weight = nn.Parameter(conv.weight.detach().flatten(1), requires_grad=False)
    assert conv.bias is not None
    linear.bias = nn.Parameter(conv.bias.detach(), requires_grad=False)
    return linear


def fold(model: VideoModel) -> tuple[VideoModel, int]:
    """A copy of a model in eval mode with all that can be joined joined, and how many norms.

    Tensors that stay as they are are shared with ``model``, which is not changed.
    """
    shared = (model.entry, *model.state_dict(keep_vars=True).values())
    net = copy.deepcopy(model, {id(one): one for one in shared})
    count = 0
    if not any(isinstance(module, nn.BatchNorm3d) for module in net.modules()):
        return net, count  # a transformer: its convolutions have nothing behind them to join
    chains = _chains(net)
    gates = [n for n, m in net.named_modules() if _is_gate(m)]
    for name in gates:
        squeeze, _, excite, _ = _at(net, name).block
        _replace(net, name, Gate(squeeze, excite))
    for conv, norm, activation in chains:
        if any(conv.startswith(f"{gate}.") for gate in gates):
            continue
        count += norm is not None
        batch_norm = None if norm is None else _at(net, norm)
        _replace(net, conv, FusedConv(_at(net, conv), batch_norm, _kind(net, activation)))
        for name in (norm, activation):
            if name is not None:
                _replace(net, name, nn.Identity())
    for name, module in list(net.named_modules()):
        # One with parts is a wrapper, whose own Swish may be in a convolution's kernel by now.
        if type(module).__name__ == "Swish" and not list(module.children()):
            _replace(net, name, nn.SiLU(inplace=True))
    for name, module in list(net.named_modules()):
        if type(module).__name__ == "ResBlock":
            joined = _residual(module)
            if joined is not None:
                _replace(net, name, joined)
    return net, count


def _is_gate(module: nn.Module) -> bool:
    """Whether it is a squeeze and excitation; a wrapper of that name has it as a part."""
    return type(module).__name__ == "SqueezeExcitation" and hasattr(module, "block")


def _chains(net: VideoModel) -> list[tuple[str, str | None, str | None]]:
    """Of each convolution, by name: itself, the batch norm and the activation behind it."""
    producers: dict[int, str] = {}
    consumers: dict[int, list[str]] = defaultdict(list)
    alive: list[Tensor] = []  # as long as they live, no other tensor gets their id
    leaves = {
        module: name
        for name, module in net.named_modules()
        if not list(module.children()) and not isinstance(module, nn.Identity)
    }

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        name = leaves[module]
        alive.extend([inputs[0], output])
        consumers[id(inputs[0])].append(name)
        producers[id(output)] = name

    with ExitStack() as hooks:
        for module in leaves:
            hooks.enter_context(module.register_forward_hook(note))
        _run_on_nothing(net)
    behind = {producers[key]: names for key, names in consumers.items() if key in producers}

    def only(name: str | None, kinds: Sequence[str]) -> str | None:
        names = behind.get(name, []) if name else []
        return names[0] if len(names) == 1 and type(_at(net, names[0])).__name__ in kinds else None

    chains = []
    for module, name in leaves.items():
        if isinstance(module, nn.Conv3d):
            norm = only(name, ("BatchNorm3d",))
            chains.append((name, norm, only(norm or name, tuple(_ACTIVATIONS))))
    return chains


def _run_on_nothing(net: VideoModel) -> None:
    """A forward pass of a batch of no clips: every module is called, and nothing is computed.

    On the meta device it would cost a second, most of it for importing ``torch._dynamo``.
    """
    spec = net.entry.input
    device = next(net.parameters()).device
    clips = torch.empty(0, 3, spec.num_frames, spec.crop_size, spec.crop_size, device=device)
    # The view that the head's last pool makes of no numbers is ambiguous.
    with torch.no_grad(), without_part(net.parts[-1], "output_pool"):
        net(clips)


@contextmanager
def without_part(module: nn.Module, part: str) -> Iterator[None]:
    """Within it a part of the module is ``None``, if it has one."""
    if not hasattr(module, part):
        yield
        return
    before = getattr(module, part)
    setattr(module, part, None)
    try:
        yield
    finally:
        setattr(module, part, before)


def _kind(net: nn.Module, activation: str | None) -> str:
    return "none" if activation is None else _ACTIVATIONS[type(_at(net, activation)).__name__]


def _residual(block: Any) -> Residual | None:
    """The block with its sum in its last convolution, where it is one of those known here."""
    body = block.branch2
    last = getattr(body, "conv_c", None)
    if (
        type(body).__name__ != "BottleneckBlock"
        or not isinstance(last, FusedConv)
        or last.activation != "none"
        or not isinstance(body.norm_c, nn.Identity)
        or not isinstance(block.activation, nn.ReLU)
        or block.branch_fusion(2, 3) != 5
    ):
        return None
    shortcut = block.branch1_conv
    if shortcut is not None and isinstance(block.branch1_norm, nn.BatchNorm3d):
        return None
    steps = (body.conv_a, body.norm_a, body.act_a, body.conv_b, body.norm_b, body.act_b)
    inner = nn.Sequential(
        *(step for step in steps if step is not None and not isinstance(step, nn.Identity))
    )
    last.activation = "relu"
    return Residual(shortcut, inner, last)


def pack_weights(net: nn.Module, dtype: torch.dtype = torch.float32) -> None:
    """Pack the weights for oneDNN's fused kernels, where this torch and processor have them."""
    if not torch._C._has_mkldnn or not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return
    # With AVX2 alone there are none of 16 bits, and packing for them is an error.
    if dtype is torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return
    for module in net.modules():
        if isinstance(module, FusedConv):
            module.pack_weights()


def _at(net: nn.Module, name: str) -> Any:
    return net.get_submodule(name)


def _replace(net: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(net.get_submodule(parent), child, module.train(net.training))
