"""Recognise weights that no training has moved, whatever the counters beside them say.

A network that was only initialised betrays itself in three places, none of which its batch
counters or running statistics can hide:

- Convolutions are drawn from a known distribution whose spread follows from the shape alone.
  The standard deviation of n drawn numbers is off by a relative sqrt((k - 1) / 4n) (k the
  distribution's kurtosis), under 1 % even for small layers; training moves it much further. A
  single layer may meet its initial spread by chance, nine of ten do not.
- Batch norms begin with every scale exactly 1 (or exactly 0 at the end of a residual block)
  and every shift exactly 0. A few steps of training end that.
- The classifier begins with a normal of spread 0.01 and a bias of exactly 0.

The distributions are those of pytorchvideo (``layers/utils.py``, ``models/weight_init.py``
upstream: MSRA fill by fan-out, linear layers normal) and torch's defaults. What passes is not
thereby proven to be trained: a few steps, or noise added to every tensor, pass as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from ptv_hub.weights.official import classifier_of


@dataclass(frozen=True)
class Part:
    """A kind of layers, and how many of them are as they were initialised."""

    name: str
    fresh: int
    total: int
    share: float
    """From which share on the part counts as never trained."""

    @property
    def untouched(self) -> bool:
        return self.total > 0 and self.fresh >= self.share * self.total


@dataclass(frozen=True)
class _Scheme:
    spread: Callable[[Tensor], float]
    """Standard deviation, from the shape."""
    kurtosis: float


def _fan_in(weight: Tensor) -> int:
    return math.prod(weight.shape[1:])


def _fan_out(weight: Tensor) -> int:
    return weight.shape[0] * math.prod(weight.shape[2:])


_NORMAL, _UNIFORM = 3.0, 1.8

_TORCH_DEFAULT = _Scheme(lambda weight: 1 / math.sqrt(3 * _fan_in(weight)), _UNIFORM)
_CONVOLUTION = (_Scheme(lambda weight: math.sqrt(2 / _fan_out(weight)), _NORMAL), _TORCH_DEFAULT)
_CLASSIFIER = (_Scheme(lambda weight: 0.01, _NORMAL), _TORCH_DEFAULT)

_SIGMAS = 5.0
_FEWEST = 500
"""Elements below which a spread says too little."""


def at_initialisation(tensors: Mapping[str, Tensor]) -> tuple[Part, ...]:
    """How much of a state dict with official keys is as pytorchvideo or torch initialises it."""
    norms = [k.removesuffix("running_var") for k in tensors if k.endswith(".running_var")]
    head = f"{classifier_of(tensors)}.weight"
    heads = [head] if head in tensors and tensors[head].dim() == 2 else []
    convolutions = [
        t for k, t in tensors.items() if t.dim() > 2 and t.numel() >= _FEWEST and k not in heads
    ]
    return (
        # Where in- and outputs are equally many, a fill by fan-in has the same spread as one by
        # fan-out: up to half of a network's layers, so a majority would not do.
        Part("convolutions", _most_alike(convolutions), len(convolutions), 0.9),
        Part("batch norms", sum(_is_fresh_norm(tensors, stem) for stem in norms), len(norms), 0.5),
        Part("classifier", sum(_is_fresh_head(tensors, key) for key in heads), len(heads), 1.0),
    )


def _most_alike(weights: list[Tensor]) -> int:
    """How many of the weights have the spread of one and the same scheme."""
    return max(sum(_drawn_by(scheme, weight) for weight in weights) for scheme in _CONVOLUTION)


def _drawn_by(scheme: _Scheme, weight: Tensor) -> bool:
    spread = scheme.spread(weight)
    error = math.sqrt((scheme.kurtosis - 1) / (4 * weight.numel()))
    found = float(weight.double().std())
    return abs(found / spread - 1) < _SIGMAS * error


def _is_fresh_norm(tensors: Mapping[str, Tensor], stem: str) -> bool:
    scale, shift = tensors.get(f"{stem}weight"), tensors.get(f"{stem}bias")
    if scale is None or shift is None:
        return False
    return bool(((scale == 1).all() or (scale == 0).all()) and (shift == 0).all())


def _is_fresh_head(tensors: Mapping[str, Tensor], key: str) -> bool:
    weight, bias = tensors[key], tensors.get(f"{key.removesuffix('weight')}bias")
    if bias is None:
        return False
    # torch's default fills the bias too, evenly up to 1 / sqrt(fan_in).
    normal, default = _CLASSIFIER
    if _drawn_by(normal, weight):
        return bool((bias == 0).all())
    return _drawn_by(default, weight) and float(bias.abs().max()) <= 1 / math.sqrt(_fan_in(weight))
