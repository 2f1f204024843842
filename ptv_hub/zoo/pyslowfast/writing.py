"""Entry, recipe and paths -> a PySlowFast config."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ptv_hub.zoo.entry import Entry, FrameSampling, SegmentSampling, SlowFastSpec, X3DSpec
from ptv_hub.zoo.pyslowfast.models import MODELS
from ptv_hub.zoo.pyslowfast.reading import Config, Paths, read_values
from ptv_hub.zoo.pyslowfast.values import defaults, nested, with_pairs
from ptv_hub.zoo.recipe import Recipe

_MODEL_NAMES = dict(
    zip(
        ("c2d", "i3d", "slow", "slowfast", "x3d", "csn", "r2plus1d"),
        (*("PTVResNet",) * 3, *(name for name in MODELS if name != "PTVResNet")),
        strict=True,
    )
)
"""Builder -> ``MODEL.MODEL_NAME``."""

# Written even where they are PySlowFast's defaults: what somebody who reads a config looks for.
_ALWAYS = frozenset(
    {
        *("MODEL.MODEL_NAME", "MODEL.ARCH", "MODEL.NUM_CLASSES", "MODEL.LOSS_FUNC"),
        *("MODEL.DROPOUT_RATE", "MODEL.HEAD_ACT", "DATA.NUM_FRAMES", "DATA.SAMPLING_RATE"),
        *("DATA.TRAIN_JITTER_SCALES", "DATA.TRAIN_CROP_SIZE", "DATA.TEST_CROP_SIZE"),
        *("DATA.INPUT_CHANNEL_NUM", "TRAIN.DATASET", "TRAIN.BATCH_SIZE", "TEST.DATASET"),
        *("TEST.BATCH_SIZE", "TEST.NUM_ENSEMBLE_VIEWS", "TEST.NUM_SPATIAL_CROPS"),
        *("SOLVER.BASE_LR", "SOLVER.LR_POLICY", "SOLVER.MAX_EPOCH", "SOLVER.WARMUP_EPOCHS"),
        *("SOLVER.WARMUP_START_LR", "SOLVER.WEIGHT_DECAY", "SOLVER.MOMENTUM"),
        *("SOLVER.OPTIMIZING_METHOD", "BN.USE_PRECISE_STATS", "BN.NUM_BATCHES_PRECISE"),
        *("RESNET.DEPTH", "SLOWFAST.ALPHA", "SLOWFAST.BETA_INV", "SLOWFAST.FUSION_KERNEL_SZ"),
        *("NUM_GPUS", "NUM_SHARDS", "RNG_SEED", "OUTPUT_DIR"),
    }
)


def to_yaml(config: Config, *, complete: bool = False) -> str:
    """The YAML with which PySlowFast builds, trains and tests this.

    ``complete`` writes every key that PySlowFast has, as its checkpoints' ``cfg`` does; else
    those that differ from its defaults, and those that people look for. What PySlowFast has
    no key for (``Recipe.frozen_stages``) is left out.
    """
    values = to_values(config)
    if complete:
        values = {**defaults(), **values}
    else:
        values = {k: v for k, v in values.items() if k in _ALWAYS or v != defaults()[k]}
    return yaml.dump(nested(values), Dumper=_Dumper, sort_keys=False, width=100)


class _Dumper(yaml.SafeDumper):
    """Lists on one line, as people write configs."""


_Dumper.add_representer(
    list, lambda dumper, items: dumper.represent_sequence("tag:yaml.org,2002:seq", items, True)
)


def to_values(config: Config) -> dict[str, Any]:
    """PySlowFast's keys with what the config means, all that have an effect here."""
    values = {
        **_model(config.entry),
        **_data(config.entry),
        **_training(config.recipe),
        **_paths(config.paths),
    }
    return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}


def _model(entry: Entry) -> dict[str, Any]:
    builder = entry.builder
    values = {
        "MODEL.MODEL_NAME": _MODEL_NAMES[builder.name],
        "MODEL.ARCH": builder.name,
        "MODEL.NUM_CLASSES": entry.num_classes,
        "MODEL.DROPOUT_RATE": builder.dropout,
        "MODEL.HEAD_ACT": entry.protocol.activation,
        # No effect on PyTorchVideo's models, which always begin so.
        "RESNET.ZERO_INIT_FINAL_BN": True,
    }
    if isinstance(builder, X3DSpec):
        return values | {
            "RESNET.TRANS_FUNC": "x3d_transform",
            "X3D.WIDTH_FACTOR": builder.width_factor,
            "X3D.DEPTH_FACTOR": builder.depth_factor,
            "X3D.BOTTLENECK_FACTOR": builder.bottleneck_factor,
            "X3D.DIM_C1": builder.dim_c1,
            "X3D.DIM_C5": builder.dim_c5,
        }
    values["RESNET.DEPTH"] = builder.depth
    if builder.name in ("csn", "r2plus1d"):
        # PySlowFast packs the input by this list, and its default names neither.
        values["MODEL.SINGLE_PATHWAY_ARCH"] = [builder.name]
    if isinstance(builder, SlowFastSpec):
        blocks = [[count, count] for count in builder.temporal_kernel_blocks]
        values |= {
            "RESNET.NUM_BLOCK_TEMP_KERNEL": blocks,
            "RESNET.SPATIAL_STRIDES": [[1, 1], [2, 2], [2, 2], [2, 2]],
            "RESNET.SPATIAL_DILATIONS": [[1, 1], [1, 1], [1, 1], [1, 1]],
            "SLOWFAST.ALPHA": entry.input.slowfast_alpha,
            "SLOWFAST.BETA_INV": builder.beta_inv,
            "SLOWFAST.FUSION_CONV_CHANNEL_RATIO": builder.fusion_ratio,
            "SLOWFAST.FUSION_KERNEL_SZ": builder.fusion_kernel,
        }
    return values


def _data(entry: Entry) -> dict[str, Any]:
    spec, protocol = entry.input, entry.protocol
    stamped = isinstance(spec.sampling, (SegmentSampling, FrameSampling))
    names = {"seconds": "ptvkinetics", "segments": "ptvssv2", "frames": "ptvcharades"}
    name = names[spec.sampling.kind]
    return {
        "TRAIN.DATASET": name,
        "TEST.DATASET": name,
        "DATA.NUM_FRAMES": spec.num_frames,
        "DATA.SAMPLING_RATE": spec.sampling_rate,
        "DATA.TARGET_FPS": spec.target_fps,
        "DATA.TRAIN_JITTER_SCALES": spec.train_jitter,
        "DATA.TRAIN_CROP_SIZE": spec.train_crop_size,
        "DATA.TEST_CROP_SIZE": spec.crop_size,
        "DATA.INPUT_CHANNEL_NUM": [3] * spec.num_pathways,
        "DATA.MEAN": spec.mean,
        "DATA.STD": spec.std,
        "DATA.MULTI_LABEL": protocol.metric == "mean_average_precision",
        "DATA.ENSEMBLE_METHOD": {"mean": "sum", "max": "max"}[protocol.ensemble],
        # The loaders of stamped frames reverse the channels of their own accord.
        "DATA.REVERSE_INPUT_CHANNEL": (spec.channel_order == "bgr") != stamped,
        # No effect with these loaders; PySlowFast's configs of stamped frames state it.
        "DATA.INV_UNIFORM_SAMPLE": stamped,
        "TEST.NUM_ENSEMBLE_VIEWS": protocol.num_clips,
        "TEST.NUM_SPATIAL_CROPS": protocol.num_crops,
    }


def _training(recipe: Recipe) -> dict[str, Any]:
    return {
        "MODEL.LOSS_FUNC": recipe.loss,
        "MODEL.FROZEN_BN": recipe.frozen_bn,
        "DATA.RANDOM_FLIP": recipe.random_flip,
        "TRAIN.BATCH_SIZE": recipe.batch_size,
        "TRAIN.EVAL_PERIOD": recipe.eval_period,
        "TRAIN.CHECKPOINT_PERIOD": recipe.checkpoint_period,
        "TRAIN.CHECKPOINT_EPOCH_RESET": recipe.reset_epoch,
        "TRAIN.MIXED_PRECISION": recipe.mixed_precision,
        "TEST.BATCH_SIZE": recipe.test_batch_size,
        "BN.USE_PRECISE_STATS": recipe.precise_bn_batches is not None,
        "BN.NUM_BATCHES_PRECISE": recipe.precise_bn_batches or 200,
        "BN.WEIGHT_DECAY": recipe.norm_weight_decay,
        "BN.NORM_TYPE": "sync_batchnorm" if recipe.sync_bn else "batchnorm",
        "BN.GLOBAL_SYNC": recipe.sync_bn,
        "SOLVER.BASE_LR": recipe.base_lr,
        "SOLVER.BASE_LR_SCALE_NUM_SHARDS": recipe.scale_lr_by_shards,
        "SOLVER.LR_POLICY": recipe.policy,
        "SOLVER.COSINE_END_LR": recipe.end_lr,
        "SOLVER.COSINE_AFTER_WARMUP": recipe.cosine_after_warmup,
        "SOLVER.STEPS": [int(s) if s == int(s) else s for s in recipe.steps],
        "SOLVER.LRS": recipe.relative_lrs,
        "SOLVER.MAX_EPOCH": recipe.epochs,
        "SOLVER.WARMUP_EPOCHS": recipe.warmup_epochs,
        "SOLVER.WARMUP_START_LR": recipe.warmup_start_lr,
        "SOLVER.OPTIMIZING_METHOD": recipe.optimizer,
        "SOLVER.MOMENTUM": recipe.momentum,
        "SOLVER.DAMPENING": recipe.dampening,
        "SOLVER.NESTEROV": recipe.nesterov,
        "SOLVER.BETAS": recipe.betas,
        "SOLVER.WEIGHT_DECAY": recipe.weight_decay,
        "SOLVER.ZERO_WD_1D_PARAM": not recipe.decay_vectors,
        "SOLVER.CLIP_GRAD_VAL": recipe.clip_grad_value,
        "SOLVER.CLIP_GRAD_L2NORM": recipe.clip_grad_norm,
        "DATA_LOADER.NUM_WORKERS": recipe.workers,
        "TENSORBOARD.ENABLE": recipe.tensorboard,
        "NUM_GPUS": recipe.gpus,
        "NUM_SHARDS": recipe.shards,
        "RNG_SEED": recipe.seed,
    }


def _paths(paths: Paths) -> dict[str, Any]:
    return {
        "DATA.PATH_TO_DATA_DIR": paths.data,
        "DATA.PATH_PREFIX": paths.prefix,
        "DATA.PATH_LABEL_SEPARATOR": paths.separator,
        "TRAIN.CHECKPOINT_FILE_PATH": paths.weights,
        "TRAIN.AUTO_RESUME": paths.resume,
        "TEST.CHECKPOINT_FILE_PATH": paths.test_weights,
        "OUTPUT_DIR": paths.output,
    }


_OF_THE_MODEL = (
    "arch",
    "depth",
    "frame_length",
    "sample_rate",
    "builder",
    "num_classes",
    "input",
    "protocol",
)


def changed(config: Config, opts: Sequence[object]) -> Config:
    """The config after alternating keys and values, as on PySlowFast's command line.

    The entry stays who it is; what PySlowFast has no key for stays as it was.

    Raises:
        ConfigError, UsageError: as ``from_config``.
    """
    values = with_pairs(to_values(config).items(), opts, f"the settings of {config.entry.name}")
    new = read_values(values, Path(config.entry.zoo_name))
    model = {field: getattr(new.entry, field) for field in _OF_THE_MODEL}
    if new.entry.num_classes != config.entry.num_classes:
        model["labels"] = ()
    recipe = new.recipe.model_copy(update={"frozen_stages": config.recipe.frozen_stages})
    entry = config.entry.model_copy(update=model)
    pairs = set(map(str, opts[::2]))
    ignored = tuple(text for text in new.ignored if text.split(" = ")[0] in pairs)
    return Config(entry=entry, recipe=recipe, paths=new.paths, ignored=(*config.ignored, *ignored))
