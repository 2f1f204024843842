"""How a model is trained: a frozen record, the learning rate that follows from it, and the
recipes that the zoo's models were trained with. Pure; no torch.

Field by field these are the values of PySlowFast's configs (sections ``SOLVER``, ``TRAIN``,
``BN`` and some of ``DATA``); its defaults are the defaults here.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.records import Record

Positive = Annotated[int, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Mixing(Record):
    """Two clips of a batch made one, with both labels: PySlowFast's ``MIXUP``."""

    alpha: NonNegative = 0.8
    """Of the beta distribution of mixup's shares; 0 does without mixup."""
    cutmix_alpha: NonNegative = 1.0
    """The same of cutmix, which puts a box of one clip into the other."""
    prob: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Of a batch to be mixed; 0 leaves nothing but the smoothing of labels."""
    switch_prob: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Of cutmix, where both are asked for."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of a label that all classes get alike."""


WITHOUT_KEY = ("frozen_stages", "accumulate", "ema_decay", "patience", "balance")
"""Fields that PySlowFast has no key for."""


class Recipe(Record):
    """Everything that decides what training does to weights, and how often it is looked at."""

    epochs: Positive = 300
    batch_size: Positive = 64
    """Clips of one step of one machine, over all its processes."""
    gpus: Annotated[int, Field(ge=0)] = 1
    """Processes of a machine that the recipe was made for; torchrun says how many really run."""
    shards: Positive = 1
    """Machines that the recipe was made for."""
    seed: Annotated[int, Field(ge=0)] = 1

    base_lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1
    policy: Literal["cosine", "steps_with_relative_lrs"] = "cosine"
    end_lr: NonNegative = 0.0
    """Of the cosine."""
    steps: tuple[Annotated[float, Field(ge=0)], ...] = ()
    """Epochs at which the next of ``relative_lrs`` begins; the first is 0."""
    relative_lrs: tuple[NonNegative, ...] = ()
    warmup_epochs: NonNegative = 0.0
    warmup_start_lr: NonNegative = 0.01
    cosine_after_warmup: bool = False
    """Whether the cosine begins at the end of the warm-up; else at epoch 0."""
    scale_lr_by_shards: bool = False
    """Multiply ``base_lr``, ``warmup_start_lr`` and ``end_lr`` by the number of machines."""

    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    momentum: NonNegative = 0.9
    dampening: NonNegative = 0.0
    nesterov: bool = True
    betas: tuple[NonNegative, NonNegative] = (0.9, 0.999)
    weight_decay: NonNegative = 1e-4
    norm_weight_decay: NonNegative = 0.0
    """Of the scales and shifts of batch norms."""
    decay_vectors: bool = True
    """Whether biases and other vectors decay as matrices do."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Of the learning rate, from each layer to the one before it; under 1 vectors never decay."""
    clip_grad_value: Annotated[float, Field(gt=0)] | None = None
    clip_grad_norm: Annotated[float, Field(gt=0)] | None = None

    loss: Literal["cross_entropy", "soft_cross_entropy", "bce_logit"] = "cross_entropy"
    """``soft_cross_entropy``: of labels with shares, as mixing makes them; the same number."""
    random_flip: bool = True
    mixing: Mixing | None = None
    clips_per_video: Positive = 1
    """Clips that a video gives to its batch, each drawn anew (``AUG.NUM_SAMPLE``)."""
    accumulate: Positive = 1
    """Batches whose gradients' mean makes one step of the optimizer."""
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Keep a moving average of the weights beside them, which is what is watched and published."""
    patience: Positive | None = None
    """Looks without a better one after which a run ends; null: it goes to its last epoch."""
    balance: Literal["none", "weights", "sampler"] = "none"
    """What makes rare classes count as much as frequent ones: the loss's weights (the inverse of
    their number), or an epoch whose videos are drawn with such chances."""
    mixed_precision: bool = False

    precise_bn_batches: Positive | None = None
    """Steps over which batch-norm statistics are measured anew before each look; null: not done."""
    frozen_bn: bool = False
    """Keep the statistics of batch norms (scales and shifts still learn)."""
    sync_bn: bool = False
    """Statistics of batch norms over all processes' clips, not each process's own."""
    frozen_stages: Annotated[int, Field(ge=0)] = 0
    """Blocks from the input on that do not learn (parameters and statistics)."""

    eval_period: Positive = 10
    """Epochs from one validation to the next; the last epoch always has one."""
    checkpoint_period: Positive = 10
    reset_epoch: bool = False
    """Begin at epoch 0 although the weights to begin from state an epoch."""
    test_batch_size: Positive = 8
    workers: Annotated[int, Field(ge=0)] = 8
    """Decoding processes of each training process."""
    tensorboard: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.policy == "cosine" and self.end_lr >= self.base_lr:
            raise ValueError(f"end_lr {self.end_lr} is not under base_lr {self.base_lr}")
        if self.policy == "steps_with_relative_lrs" and (
            not self.steps
            or self.steps[0] != 0
            or len(self.steps) != len(self.relative_lrs)
            or list(self.steps) != sorted(self.steps)
        ):
            raise ValueError(
                f"steps {self.steps} must rise from 0, one for each of {self.relative_lrs}"
            )
        if self.loss == "bce_logit" and (self.mixing or self.balance == "weights"):
            raise ValueError("mixing and class weights are for one label a video")
        if self.loss == "soft_cross_entropy" and self.mixing is None:
            raise ValueError("soft_cross_entropy is for labels that are mixed (MIXUP.ENABLE)")
        if self.cosine_after_warmup and self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs {self.warmup_epochs} are not under epochs {self.epochs}"
            )
        return self

    def for_shards(self, shards: int) -> Recipe:
        """The recipe on that many machines, its learning rates scaled if it asks for that."""
        factor = shards if self.scale_lr_by_shards else 1
        scaled = {
            "base_lr": self.base_lr * factor,
            "end_lr": self.end_lr * factor,
            "warmup_start_lr": self.warmup_start_lr * factor,
        }
        return self.model_copy(update={**scaled, "shards": shards, "scale_lr_by_shards": False})


def learning_rate(recipe: Recipe, epoch: float) -> float:
    """The learning rate at a fractional epoch, before any scaling by shards.

    Below ``warmup_epochs`` it is a line from ``warmup_start_lr`` to what the policy says at
    ``warmup_epochs`` (which is not ``base_lr``). Source: ``slowfast/utils/lr_policy.py``.
    """
    if epoch >= recipe.warmup_epochs:
        return _policy(recipe, epoch)
    slope = (_policy(recipe, recipe.warmup_epochs) - recipe.warmup_start_lr) / recipe.warmup_epochs
    return recipe.warmup_start_lr + slope * epoch


def _policy(recipe: Recipe, epoch: float) -> float:
    if recipe.policy == "steps_with_relative_lrs":
        passed = sum(step <= epoch for step in recipe.steps)
        return recipe.relative_lrs[max(passed, 1) - 1] * recipe.base_lr
    begin = recipe.warmup_epochs if recipe.cosine_after_warmup else 0.0
    turn = math.pi * (epoch - begin) / (recipe.epochs - begin)
    return recipe.end_lr + (recipe.base_lr - recipe.end_lr) * (math.cos(turn) + 1.0) * 0.5


# What the configs of the zoo state; source: configs/*/pytorchvideo/*.yaml of PySlowFast.
_ALL = Recipe(gpus=8, seed=0, scale_lr_by_shards=True, test_batch_size=64)
_RESNET: dict[str, Any] = {
    "epochs": 196,
    "warmup_epochs": 34,
    "precise_bn_batches": 200,
    "tensorboard": True,
}
_X3D: dict[str, Any] = {
    "epochs": 300,
    "warmup_epochs": 35,
    "precise_bn_batches": 200,
    "weight_decay": 5e-5,
}
_SSV2: dict[str, Any] = {
    "epochs": 30,
    "warmup_epochs": 3,
    "warmup_start_lr": 0.08,
    "precise_bn_batches": 200,
}
_SSV2 |= {"random_flip": False, "eval_period": 2, "checkpoint_period": 2, "reset_epoch": True}
_CHARADES: dict[str, Any] = {
    "epochs": 60,
    "warmup_epochs": 5,
    "warmup_start_lr": 1e-4,
    "base_lr": 0.25,
}
_CHARADES |= {"end_lr": 1e-6, "loss": "bce_logit", "eval_period": 6, "checkpoint_period": 6}
_CHARADES |= {"reset_epoch": True, "workers": 1}

_ZOO: dict[str, dict[str, Any]] = {
    **{
        f"Kinetics/pytorchvideo/{name}": {**_RESNET, "checkpoint_period": 1}
        for name in (
            *("C2D_8x8_R50", "CSN_32x2_R101", "I3D_8x8_R50", "R2PLUS1D_16x4_R50"),
            *("SLOWFAST_4x16_R50", "SLOWFAST_8x8_R50", "SLOW_4x16_R50", "SLOW_8x8_R50"),
        )
    },
    **{
        f"Kinetics/pytorchvideo/{name}": {**_RESNET, "eval_period": 2}
        for name in ("SLOWFAST_16x8_R101_50_50", "SLOWFAST_8x8_R101")
    },
    **{
        f"Kinetics/pytorchvideo/X3D_{size}": {**_X3D, "batch_size": 128}
        for size in ("XS", "S", "M")
    },
    "Kinetics/pytorchvideo/X3D_L": {
        **_X3D,
        "epochs": 256,
        "base_lr": 0.05,
        "eval_period": 2,
        "test_batch_size": 32,
    },
    "SSv2/pytorchvideo/SLOW_8x8_R50": {**_SSV2, "workers": 2},
    "SSv2/pytorchvideo/SLOWFAST_8x8_R50": {**_SSV2, "workers": 2, "precise_bn_batches": 150},
    "Charades/pytorchvideo/SLOW_8x8_R50": _CHARADES,
    "Charades/pytorchvideo/SLOWFAST_8x8_R50": _CHARADES,
}


def recipe_of(entry: Entry) -> Recipe | None:
    """The recipe that a model of the zoo was trained with; ``None`` of a model of one's own."""
    changes = _ZOO.get(entry.config)
    return None if changes is None else Recipe.model_validate({**_ALL.model_dump(), **changes})
