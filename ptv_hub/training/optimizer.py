"""Parameter groups, optimizers and losses, as a recipe states them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ptv_hub.models.builders import VideoModel
from ptv_hub.zoo.recipe import Recipe

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": functional.cross_entropy,
    "soft_cross_entropy": functional.cross_entropy,
    "bce_logit": functional.binary_cross_entropy_with_logits,
}
"""(logits (B, C), labels (B,), shares (B, C) or marks (B, C)) -> mean loss."""


def loss_function(recipe: Recipe, weights: Tensor | None) -> Callable[[Tensor, Tensor], Tensor]:
    """The recipe's loss; ``weights`` are those of the classes, (C,), where it asks for them.

    Of shares of labels PySlowFast's soft cross entropy is torch's own of probabilities.
    """
    if weights is None:
        return LOSSES[recipe.loss]
    return partial(functional.cross_entropy, weight=weights)


def parameter_groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """The groups of PySlowFast's SGD: batch norms, all else, and what must not decay.

    Groups without a parameter are left out, and so are parameters that do not learn. With
    ``layer_decay`` under 1 the groups are those of ``model.param_groups``, each with its
    ``lr_scale``. Source: ``construct_optimizer`` of ``slowfast/models/optimizer.py``.
    """
    if recipe.layer_decay < 1:
        assert isinstance(model, VideoModel), "only these know their layers"
        return model.param_groups(recipe.weight_decay, recipe.layer_decay)
    norms: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    vectors: list[nn.Parameter] = []
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            if isinstance(module, nn.modules.batchnorm._NormBase):
                norms.append(parameter)
            elif not recipe.decay_vectors and (parameter.dim() == 1 or name == "bias"):
                vectors.append(parameter)
            else:
                others.append(parameter)
    groups = (
        (norms, recipe.norm_weight_decay),
        (others, recipe.weight_decay),
        (vectors, 0.0),
    )
    return [{"params": params, "weight_decay": decay} for params, decay in groups if params]


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer over the model's parameter groups."""
    groups = parameter_groups(model, recipe)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            groups,
            lr=recipe.base_lr,
            momentum=recipe.momentum,
            dampening=recipe.dampening,
            nesterov=recipe.nesterov,
        )
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=recipe.base_lr, betas=recipe.betas)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The same rate for all groups, but for what their layers' depth takes from it."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_scale", 1.0)
