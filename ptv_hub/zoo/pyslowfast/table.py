"""PySlowFast's keys and the fields of our records: one table, read both ways.

A row is a field, how it is read from the keys of a config, and how it is written to them, side
by side, so that reading and writing cannot disagree. What a config may not say is refused in
``reading`` and ``models``; keys that always have one value here are written in ``writing``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ptv_hub.zoo.input_spec import (
    FrameSampling,
    InputSpec,
    Sampling,
    SecondsSampling,
    SegmentSampling,
)
from ptv_hub.zoo.pyslowfast.values import Values
from ptv_hub.zoo.records import Record

Written = dict[str, Any]
"""Keys with values."""


@dataclass(frozen=True)
class Row:
    """One field of a record."""

    field: str
    read: Callable[[Values], object]
    write: Callable[[Any], Written]
    """Takes the whole record."""


def read(rows: Sequence[Row], values: Values) -> dict[str, Any]:
    """The fields that a config states, for the record's constructor."""
    return {row.field: row.read(values) for row in rows}


def written(rows: Sequence[Row], record: Record) -> Written:
    """The keys that a record states."""
    return {key: value for row in rows for key, value in row.write(record).items()}


def _same(key: str, field: str) -> Row:
    """A key whose value is the field's."""
    return Row(field, lambda values: values[key], lambda record: {key: getattr(record, field)})


def _worded(key: str, field: str, words: Mapping[Any, Any], fix: str | None = None) -> Row:
    """A key with a closed list of values: theirs -> ours."""
    theirs = {ours: word for word, ours in words.items()}
    return Row(
        field,
        lambda values: values.one_of(key, words, fix),
        lambda record: {key: theirs[getattr(record, field)]},
    )


def _closed(key: str, field: str, *known: object) -> Row:
    """A key with a closed list of values, which are the field's."""
    return _worded(key, field, {value: value for value in known})


# ---------------------------------------------------------------------------- the model

MODEL_NAMES = {
    "c2d": "PTVResNet",
    "i3d": "PTVResNet",
    "slow": "PTVResNet",
    "slowfast": "PTVSlowFast",
    "x3d": "PTVX3D",
    "csn": "PTVCSN",
    "r2plus1d": "PTVR2plus1D",
}
"""``MODEL.ARCH``, which is the builder's name too -> ``MODEL.MODEL_NAME``."""

STAGE_DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""``RESNET.DEPTH`` -> blocks of each stage."""

ENTRY = (_same("MODEL.NUM_CLASSES", "num_classes"),)

RESNET = (
    _closed("RESNET.DEPTH", "depth", *STAGE_DEPTHS),
    _same("MODEL.DROPOUT_RATE", "dropout"),
)

SLOWFAST = (
    *RESNET,
    Row(
        "temporal_kernel_blocks",  # of both pathways alike
        lambda values: tuple(row[0] for row in values["RESNET.NUM_BLOCK_TEMP_KERNEL"] if row),
        lambda spec: {
            "RESNET.NUM_BLOCK_TEMP_KERNEL": [[n, n] for n in spec.temporal_kernel_blocks]
        },
    ),
    _same("SLOWFAST.BETA_INV", "beta_inv"),
    _same("SLOWFAST.FUSION_CONV_CHANNEL_RATIO", "fusion_ratio"),
    _same("SLOWFAST.FUSION_KERNEL_SZ", "fusion_kernel"),
)

X3D = (
    _same("MODEL.DROPOUT_RATE", "dropout"),
    _same("X3D.WIDTH_FACTOR", "width_factor"),
    _same("X3D.DEPTH_FACTOR", "depth_factor"),
    _same("X3D.BOTTLENECK_FACTOR", "bottleneck_factor"),
    _same("X3D.DIM_C1", "dim_c1"),
    _same("X3D.DIM_C5", "dim_c5"),
)

BUILDERS = dict.fromkeys(MODEL_NAMES, RESNET) | {"slowfast": SLOWFAST, "x3d": X3D}
"""Rows of each builder's record."""

# ---------------------------------------------------------------------------- the data

SAMPLINGS: dict[str, Sampling] = {
    "ptvkinetics": SecondsSampling(),
    "ptvssv2": SegmentSampling(),
    "ptvcharades": FrameSampling(),
}
"""PySlowFast's loaders -> what they do."""

_LOADERS = {sampling.kind: loader for loader, sampling in SAMPLINGS.items()}


def _reverses(sampling: Sampling) -> bool:
    """Whether the loader reverses the channels of its own accord: those of stamped frames do."""
    return not isinstance(sampling, SecondsSampling)


def _channel_order(values: Values) -> str:
    reverses = _reverses(SAMPLINGS[values["TRAIN.DATASET"]])
    return "bgr" if values["DATA.REVERSE_INPUT_CHANNEL"] != reverses else "rgb"


def _reversed(spec: InputSpec) -> Written:
    reverse = (spec.channel_order == "bgr") != _reverses(spec.sampling)
    return {"DATA.REVERSE_INPUT_CHANNEL": reverse}


INPUT = (
    Row(
        "sampling",
        lambda values: values.one_of(
            "TRAIN.DATASET",
            SAMPLINGS,
            "PySlowFast's own loaders sample other frames than those the zoo was made with",
        ),
        lambda spec: dict.fromkeys(("TRAIN.DATASET", "TEST.DATASET"), _LOADERS[spec.sampling.kind]),
    ),
    _same("DATA.NUM_FRAMES", "num_frames"),
    _same("DATA.SAMPLING_RATE", "sampling_rate"),
    _same("DATA.TARGET_FPS", "target_fps"),
    _same("DATA.TRAIN_JITTER_SCALES", "train_jitter"),
    _same("DATA.TRAIN_CROP_SIZE", "train_crop_size"),
    _same("DATA.TEST_CROP_SIZE", "crop_size"),
    _same("DATA.MEAN", "mean"),
    _same("DATA.STD", "std"),
    Row("channel_order", _channel_order, _reversed),
)

TWO_PATHWAYS = (_same("SLOWFAST.ALPHA", "slowfast_alpha"),)
"""What the input of two pathways has besides."""

PROTOCOL = (
    _worded("DATA.MULTI_LABEL", "metric", {False: "top1", True: "mean_average_precision"}),
    _worded("DATA.ENSEMBLE_METHOD", "ensemble", {"sum": "mean", "max": "max"}),
    _closed("MODEL.HEAD_ACT", "activation", "softmax", "sigmoid"),
    _same("TEST.NUM_ENSEMBLE_VIEWS", "num_clips"),
    _same("TEST.NUM_SPATIAL_CROPS", "num_crops"),
)

# ---------------------------------------------------------------------------- the recipe


def _loss(values: Values) -> object:
    if values["DATA.MULTI_LABEL"]:
        return values.one_of("MODEL.LOSS_FUNC", {"bce_logit": "bce_logit"})
    known = ("cross_entropy", *(["soft_cross_entropy"] if values["MIXUP.ENABLE"] else []))
    return values.one_of("MODEL.LOSS_FUNC", {loss: loss for loss in known})


_MIXUP = {
    "MIXUP.ALPHA": "alpha",
    "MIXUP.CUTMIX_ALPHA": "cutmix_alpha",
    "MIXUP.PROB": "prob",
    "MIXUP.SWITCH_PROB": "switch_prob",
    "MIXUP.LABEL_SMOOTH_VALUE": "label_smoothing",
}
"""PySlowFast's key -> the field of ``Mixing``."""


def _mixing(values: Values) -> object:
    read = {field: values[key] for key, field in _MIXUP.items()}
    return read if values["MIXUP.ENABLE"] else None


def _mixed(recipe: Any) -> Written:
    asked = {"MIXUP.ENABLE": recipe.mixing is not None}
    if recipe.mixing is None:
        return asked
    return asked | {key: getattr(recipe.mixing, field) for key, field in _MIXUP.items()}


def _precise_batches(values: Values) -> object:
    return values["BN.NUM_BATCHES_PRECISE"] if values["BN.USE_PRECISE_STATS"] else None


_NORMS = {"batchnorm": False, "sync_batchnorm": True}

RECIPE = (
    Row("loss", _loss, lambda recipe: {"MODEL.LOSS_FUNC": recipe.loss}),
    _same("MODEL.FROZEN_BN", "frozen_bn"),
    Row("mixing", _mixing, _mixed),
    _same("AUG.NUM_SAMPLE", "clips_per_video"),
    _same("DATA.RANDOM_FLIP", "random_flip"),
    _same("TRAIN.BATCH_SIZE", "batch_size"),
    _same("TRAIN.EVAL_PERIOD", "eval_period"),
    _same("TRAIN.CHECKPOINT_PERIOD", "checkpoint_period"),
    _same("TRAIN.CHECKPOINT_EPOCH_RESET", "reset_epoch"),
    _same("TRAIN.MIXED_PRECISION", "mixed_precision"),
    _same("TEST.BATCH_SIZE", "test_batch_size"),
    Row(
        "precise_bn_batches",
        _precise_batches,
        lambda recipe: {
            "BN.USE_PRECISE_STATS": recipe.precise_bn_batches is not None,
            "BN.NUM_BATCHES_PRECISE": recipe.precise_bn_batches or 200,
        },
    ),
    _same("BN.WEIGHT_DECAY", "norm_weight_decay"),
    Row(
        "sync_bn",
        lambda values: values.one_of("BN.NORM_TYPE", _NORMS),
        lambda recipe: {
            "BN.NORM_TYPE": "sync_batchnorm" if recipe.sync_bn else "batchnorm",
            "BN.GLOBAL_SYNC": recipe.sync_bn,
        },
    ),
    _same("SOLVER.BASE_LR", "base_lr"),
    _same("SOLVER.BASE_LR_SCALE_NUM_SHARDS", "scale_lr_by_shards"),
    _closed("SOLVER.LR_POLICY", "policy", "cosine", "steps_with_relative_lrs"),
    _same("SOLVER.COSINE_END_LR", "end_lr"),
    _same("SOLVER.COSINE_AFTER_WARMUP", "cosine_after_warmup"),
    Row(
        "steps",  # whole epochs are written as such
        lambda values: values["SOLVER.STEPS"],
        lambda recipe: {"SOLVER.STEPS": [int(s) if s == int(s) else s for s in recipe.steps]},
    ),
    _same("SOLVER.LRS", "relative_lrs"),
    _same("SOLVER.MAX_EPOCH", "epochs"),
    _same("SOLVER.WARMUP_EPOCHS", "warmup_epochs"),
    _same("SOLVER.WARMUP_START_LR", "warmup_start_lr"),
    _closed("SOLVER.OPTIMIZING_METHOD", "optimizer", "sgd", "adam", "adamw"),
    _same("SOLVER.MOMENTUM", "momentum"),
    _same("SOLVER.DAMPENING", "dampening"),
    _same("SOLVER.NESTEROV", "nesterov"),
    _same("SOLVER.BETAS", "betas"),
    _same("SOLVER.WEIGHT_DECAY", "weight_decay"),
    _worded("SOLVER.ZERO_WD_1D_PARAM", "decay_vectors", {True: False, False: True}),
    _same("SOLVER.LAYER_DECAY", "layer_decay"),
    _same("SOLVER.CLIP_GRAD_VAL", "clip_grad_value"),
    _same("SOLVER.CLIP_GRAD_L2NORM", "clip_grad_norm"),
    _same("DATA_LOADER.NUM_WORKERS", "workers"),
    _same("TENSORBOARD.ENABLE", "tensorboard"),
    _same("NUM_GPUS", "gpus"),
    _same("NUM_SHARDS", "shards"),
    _same("RNG_SEED", "seed"),
)

PATHS = (
    _same("DATA.PATH_TO_DATA_DIR", "data"),
    _same("DATA.PATH_PREFIX", "prefix"),
    _same("DATA.PATH_LABEL_SEPARATOR", "separator"),
    _same("TRAIN.CHECKPOINT_FILE_PATH", "weights"),
    _same("TRAIN.AUTO_RESUME", "resume"),
    _same("TEST.CHECKPOINT_FILE_PATH", "test_weights"),
    _same("OUTPUT_DIR", "output"),
)
