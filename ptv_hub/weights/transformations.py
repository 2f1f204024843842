"""What a conversion does to tensors beyond renaming them: each step with its name and direction.

Every step works on tensors under official names. ``forward`` leads to the official layout;
``back`` leads from it, and is missing where there is no way back. The proof of each is a test
against scores that the owners' own code computed (``tests/weights/test_other_layouts.py``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from ptv_hub.errors import LayoutError

Tensors = dict[str, Tensor]


def _always(_: Iterable[str]) -> bool:
    return True


@dataclass(frozen=True)
class Transformation:
    """One named step between a layout and the official one."""

    name: str
    does: str
    """What it does, for the report of a conversion."""
    forward: Callable[[Tensors], Tensors]
    back: Callable[[Tensors], Tensors] | None
    back_does: str | None = None
    loses: str | None = None
    """What the official tensors no longer hold, so that no way leads back to the same file."""
    needed: Callable[[Iterable[str]], bool] = _always
    """Whether there is anything to do, by keys under official names."""

    @property
    def tidies(self) -> bool:
        """Whether it leaves out nothing but repetitions: official tensors are written without."""
        return self.back is None and self.loses is None


def apply(work: Callable[[Tensors], Tensors], name: str, tensors: Tensors) -> Tensors:
    """The tensors after a step. Raises LayoutError where they are not what it works on."""
    try:
        return work(tensors)
    except KeyError as error:
        raise LayoutError(
            f"{name} cannot be done: a tensor is missing",
            keys=(str(error.args[0]),),
            found=f"no {error.args[0]}",
        ) from error
    except (RuntimeError, ValueError, IndexError) as error:
        raise LayoutError(
            f"{name} cannot be done: tensors have other shapes than this network's",
            found=str(error).splitlines()[0],
        ) from error


# --------------------------------------------------------- the batch norm that X3D has twice

EPS = 1e-5
"""Of all batch norms of ``pytorchvideo.models``."""

_SHORTCUT = "blocks.1.res_blocks.0.branch1_conv.weight"
_EXTRA = "blocks.1.res_blocks.0.branch1_norm."
_TAKES_BIAS = "blocks.1.res_blocks.0.branch2.norm_c.bias"


def _fold(tensors: Tensors) -> Tensors:
    """The shortcut's batch norm into its convolution, and what is left into the block's sum.

    The shortcut's output is added to that of ``norm_c``, so that the constant may go into the
    bias there. Computed in float64.
    """
    result = {key: value for key, value in tensors.items() if not key.startswith(_EXTRA)}
    weight, bias, mean, var = (
        tensors[_EXTRA + name].double()
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    scale = weight / torch.sqrt(var + EPS)
    convolution, constant = tensors[_SHORTCUT], tensors[_TAKES_BIAS]
    folded = convolution.double() * scale.reshape(-1, *[1] * (convolution.dim() - 1))
    result[_SHORTCUT] = folded.to(convolution.dtype)
    result[_TAKES_BIAS] = (constant.double() + bias - mean * scale).to(constant.dtype)
    return result


def _unfold(tensors: Tensors) -> Tensors:
    """A batch norm that changes nothing where the other layout has one; no bit is rounded away."""
    channels, dtype = tensors[_SHORTCUT].shape[0], tensors[_SHORTCUT].dtype
    norm = {
        "weight": torch.ones(channels, dtype=dtype),
        "bias": torch.zeros(channels, dtype=dtype),
        "running_mean": torch.zeros(channels, dtype=dtype),
        "running_var": torch.full((channels,), 1 - EPS, dtype=dtype),
        "num_batches_tracked": torch.tensor(0),
    }
    result: Tensors = {}
    for key, value in tensors.items():
        result[key] = value
        if key == _SHORTCUT:
            result |= {_EXTRA + name: made for name, made in norm.items()}
    return result


FOLD_SHORTCUT_NORM = Transformation(
    name="fold_shortcut_norm",
    does="folded the batch norm of the first shortcut into its convolution and the sum's bias"
    " (float64; the same function in eval mode, another one in training)",
    forward=_fold,
    back=_unfold,
    back_does="gave the first shortcut a batch norm that changes nothing",
    loses="the first shortcut's batch norm (5 tensors) cannot be had back",
)


# ------------------------------------------------------------------ order of the classifier


def _rolled(by: int) -> Callable[[Tensors], Tensors]:
    def step(tensors: Tensors) -> Tensors:
        result = dict(tensors)
        weight = tensors[_CLASSIFIER]
        fast = weight.shape[1] - _SLOW
        if fast < 1:
            raise LayoutError(
                "a classifier that does not see two pathways",
                keys=(_CLASSIFIER,),
                expected=f"{_SLOW} columns of the slow pathway, and those of the fast one",
                found=f"{weight.shape[1]} columns",
            )
        result[_CLASSIFIER] = torch.roll(weight, by * fast, dims=1).contiguous()
        return result

    return step


_CLASSIFIER = "blocks.6.proj.weight"
_SLOW = 2048
"""Channels of the slow pathway's last map, in every SlowFast of 50 layers and more."""

ROLL_CLASSIFIER = Transformation(
    name="roll_classifier",
    does="rolled the classifier's columns from (fast, slow) to (slow, fast)",
    forward=_rolled(-1),
    back=_rolled(1),
    back_does="rolled the classifier's columns from (slow, fast) to (fast, slow)",
)


# --------------------------------------------------- one matrix for queries, keys and values

_JOINT = ".attn.qkv."
_APART = (".attn.q.", ".attn.k.", ".attn.v.")


def _split(tensors: Tensors) -> Tensors:
    result: Tensors = {}
    for key, value in tensors.items():
        if _JOINT not in key:
            result[key] = value
            continue
        rows, rest = divmod(len(value), len(_APART))
        if rest:
            raise LayoutError(
                "queries, keys and values in one tensor that has not three parts",
                keys=(key,),
                found=f"{len(value)} rows",
            )
        for name, part in zip(_APART, value.split(rows), strict=True):
            result[key.replace(_JOINT, name)] = part.contiguous()
    return result


def _join(tensors: Tensors) -> Tensors:
    result: Tensors = {}
    for key, value in tensors.items():
        if _APART[0] in key:
            parts = [tensors[key.replace(_APART[0], name)] for name in _APART]
            result[key.replace(_APART[0], _JOINT)] = torch.cat(parts)
        elif not any(name in key for name in _APART):
            result[key] = value
    return result


SPLIT_QKV = Transformation(
    name="split_qkv",
    does="split each block's matrix of queries, keys and values into three, in this order",
    forward=_split,
    back=_join,
    back_does="joined each block's matrices of queries, keys and values into one, in this order",
)


# ----------------------------------------------------------------------- other shapes


def _add_time_axis(tensors: Tensors) -> Tensors:
    return {k: v.unsqueeze(2) if v.dim() == 4 else v for k, v in tensors.items()}


def _drop_time_axis(tensors: Tensors) -> Tensors:
    long = [k for k, v in tensors.items() if v.dim() == 5 and v.shape[2] != 1]
    if long:
        raise LayoutError(
            "a kernel that sees more than one frame has no place in a network of images",
            keys=long,
            found=", ".join(long[:3]),
        )
    return {k: v.squeeze(2) if v.dim() == 5 else v for k, v in tensors.items()}


ADD_TIME_AXIS = Transformation(
    name="add_time_axis",
    does="gave the kernels of a network of images a time axis of 1",
    forward=_add_time_axis,
    back=_drop_time_axis,
    back_does="took the time axis of 1 off the kernels",
)


_LINEAR_AS_CONVOLUTION = "blocks.5.pool.post_conv.weight"


def _as_convolution(tensors: Tensors) -> Tensors:
    weight = tensors[_LINEAR_AS_CONVOLUTION]
    return {**tensors, _LINEAR_AS_CONVOLUTION: weight.reshape(*weight.shape[:2], 1, 1, 1)}


def _as_linear(tensors: Tensors) -> Tensors:
    weight = tensors[_LINEAR_AS_CONVOLUTION]
    return {**tensors, _LINEAR_AS_CONVOLUTION: weight.reshape(weight.shape[:2])}


LINEAR_TO_CONVOLUTION = Transformation(
    name="linear_to_convolution",
    does="gave the head's linear layer the shape of a 1x1x1 convolution",
    forward=_as_convolution,
    back=_as_linear,
    back_does="gave the head's 1x1x1 convolution the shape of a linear layer",
)


# ------------------------------------------------------------------- another epsilon

_THEIR_EPS = 1e-3
"""Of the batch norms in MMAction2's CSN, as in the VMZ project's."""


def _add_epsilon(tensors: Tensors) -> Tensors:
    return {
        key: (value.double() + (_THEIR_EPS - EPS)).to(value.dtype)
        if key.endswith(".running_var")
        else value
        for key, value in tensors.items()
    }


ADD_EPSILON = Transformation(
    name="add_epsilon",
    does="added 0.00099 to every running variance: batch norms with epsilon 1e-3 became ones"
    " with 1e-5 (the same function in eval mode)",
    forward=_add_epsilon,
    back=None,
    loses="the running variances were rounded anew, and no way back gives the same bits",
)


# ------------------------------------------------------------- one layer under two names

ALIASED = "_attention_pool_"
"""What the second names begin with."""
_ALIAS = re.compile(rf"(blocks\.\d+\.attn\.){ALIASED}([qkv])\.(pool|norm)\.(\w+)")


def _plain(key: str) -> str | None:
    """The name that a layer of an attention's pool also has; ``None`` of all others."""
    found = _ALIAS.fullmatch(key)
    return None if found is None else f"{found[1]}{found[3]}_{found[2]}.{found[4]}"


def _once(tensors: Tensors) -> Tensors:
    result: Tensors = {}
    for key, value in tensors.items():
        name = _plain(key)
        if name is None:
            result[key] = value
        elif name not in tensors:
            result[name] = value
        elif not _same(value, tensors[name]):
            raise LayoutError(
                "two names of one layer stand for two tensors",
                keys=(key, name),
                expected="the same tensor under both, as PyTorchVideo writes them",
                found=f"{key} and {name} differ",
            )
    return result


def _same(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    tied = one.is_meta or one.data_ptr() == other.data_ptr()  # a file's structure has no numbers
    return tied or torch.equal(one, other)


JOIN_ALIASES = Transformation(
    name="join_aliases",
    does="took the layers of attention's pools once: PyTorchVideo's head writes each under two"
    " names (attn._attention_pool_q.pool is attn.pool_q)",
    forward=_once,
    back=None,
    needed=lambda keys: any(_plain(key) is not None for key in keys),
)
