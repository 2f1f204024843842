"""A PySlowFast config -> entry, recipe and paths."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ptv_hub.errors import ConfigError
from ptv_hub.zoo.entry import (
    BuilderSpec,
    Entry,
    FrameSampling,
    InputSpec,
    License,
    Protocol,
    Record,
    Sampling,
    SecondsSampling,
    SegmentSampling,
    SlowFastSpec,
    X3DSpec,
    first_faults,
)
from ptv_hub.zoo.pyslowfast.models import ARCHS, MODELS
from ptv_hub.zoo.pyslowfast.values import Values, read
from ptv_hub.zoo.recipe import Recipe


class Paths(Record):
    """Where a run reads and writes; empty where the config names nothing."""

    data: str = ""
    """Folder of the annotation files (``train.csv`` ...)."""
    prefix: str = ""
    """Put before the paths in the annotation files."""
    separator: str = " "
    """Between path and label."""
    weights: str = ""
    """Checkpoint that training begins from."""
    test_weights: str = ""
    output: str = "."
    resume: bool = True
    """Go on from the last checkpoint in ``output`` if there is one."""


class Config(Record):
    """What a PySlowFast config means here."""

    entry: Entry
    """The model with its input and protocol; named after the file, without weights or labels."""
    recipe: Recipe
    paths: Paths
    ignored: tuple[str, ...] = ()
    """Keys that the config sets and that have no effect here, with their values."""


def from_config(path: str | os.PathLike[str], opts: Sequence[object] = ()) -> Config:
    """What a PySlowFast config means here.

    Args:
        path: a YAML file; ``_BASE_`` and PySlowFast's defaults are honoured.
        opts: alternating keys and values that come on top:
            ``["TEST.NUM_SPATIAL_CROPS", 1]``; values may be text, as on a command line.

    Returns:
        A ``Config``; ``ptv_hub.load(config.entry, pretrained=False)`` builds its model.

    Raises:
        ConfigError: not a config, an unknown key, a value of a wrong type, or one that is
            not supported here.
        UsageError: a key of ``opts`` without a value.
    """
    return read_values(read(Path(path), opts), Path(path))


def read_values(values: Values, path: Path) -> Config:
    """What values mean; the entry is named after the path."""
    _refuse_unsupported(values)
    entry = _entry(values, path)
    recipe = _recipe(values)
    paths = Paths(
        data=values["DATA.PATH_TO_DATA_DIR"],
        prefix=values["DATA.PATH_PREFIX"],
        separator=values["DATA.PATH_LABEL_SEPARATOR"],
        weights=values["TRAIN.CHECKPOINT_FILE_PATH"],
        test_weights=values["TEST.CHECKPOINT_FILE_PATH"],
        output=values["OUTPUT_DIR"],
        resume=values["TRAIN.AUTO_RESUME"],
    )
    ignored = tuple(f"{key} = {values.given[key]}" for key in values.unread())
    return Config(entry=entry, recipe=recipe, paths=paths, ignored=ignored)


# Keys that would change the model, the data or the training, and the only value known here.
_ONLY: dict[str, Any] = {
    "TASK": "",
    "AUG.ENABLE": False,
    "BN.NUM_SPLITS": 1,
    "DETECTION.ENABLE": False,
    "MASK.ENABLE": False,
    "MIXUP.ENABLE": False,
    "MULTIGRID.LONG_CYCLE": False,
    "MULTIGRID.SHORT_CYCLE": False,
    "RESNET.STRIDE_1X1": False,
    "SOLVER.LARS_ON": False,
    "SOLVER.LAYER_DECAY": 1.0,
    "TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN": [],
    "TRAIN.CHECKPOINT_INFLATE": False,
    "TRAIN.CHECKPOINT_IN_INIT": False,
    "TRAIN.CHECKPOINT_TYPE": "pytorch",
    "TEST.CHECKPOINT_TYPE": "pytorch",
}


def _refuse_unsupported(values: Values) -> None:
    for key, only in _ONLY.items():
        if values[key] != only:
            values.refuse(key, repr(only))


# ---------------------------------------------------------------------------- the entry

SAMPLINGS: dict[str, Sampling] = {
    "ptvkinetics": SecondsSampling(),
    "ptvssv2": SegmentSampling(),
    "ptvcharades": FrameSampling(),
}
DATASETS = {
    ("ptvkinetics", 400): "kinetics400",
    ("ptvssv2", 174): "ssv2",
    ("ptvcharades", 157): "charades",
}
"""Loader and number of classes -> the zoo's data set; others are named after the loader."""


def _entry(values: Values, path: Path) -> Entry:
    name = values["MODEL.MODEL_NAME"]
    if name not in MODELS:
        values.refuse(
            "MODEL.MODEL_NAME",
            " or ".join(MODELS),
            "the zoo's models are PyTorchVideo's; PySlowFast's own classes build others",
        )
    try:
        builder = MODELS[name](values)
        spec = _input(values, builder)
        classes = values["MODEL.NUM_CLASSES"]
        alpha = spec.slowfast_alpha or 1
        data = values["TRAIN.DATASET"]
        return Entry(
            name=path.stem.lower(),
            zoo_name=path.stem,
            config=_config_path(path),
            arch=ARCHS[builder.name],
            depth=_size(builder, spec),
            frame_length=spec.num_frames // alpha,
            sample_rate=spec.sampling_rate * alpha,
            builder=builder,
            num_classes=classes,
            artifacts=(),
            input=spec,
            protocol=_protocol(values),
            dataset=DATASETS.get((data, classes), data.removeprefix("ptv")),
            labels=(),
            license=License(code="Apache-2.0"),
            source=str(path),
        )
    except ValidationError as error:
        raise _misfit(values, error) from error


def _misfit(values: Values, error: ValidationError) -> ConfigError:
    return ConfigError(
        "the values of a config do not fit together",
        where=values.where,
        found=first_faults(error),
    )


def _config_path(path: Path) -> str:
    """``Kinetics/pytorchvideo/X3D_M`` of a file in such folders, else the file's name."""
    parts = path.with_suffix("").parts
    return "/".join(parts[-3:]) if len(parts) > 2 and parts[-2] == "pytorchvideo" else path.stem


def _size(builder: BuilderSpec, spec: InputSpec) -> str:
    if not isinstance(builder, X3DSpec):
        return f"R{builder.depth}"
    known = {(4, 2.2, 182): "XS", (13, 2.2, 182): "S", (16, 2.2, 256): "M", (16, 5.0, 356): "L"}
    size = (spec.num_frames, builder.depth_factor, spec.crop_size)
    return known.get(size, f"w{builder.width_factor:g} d{builder.depth_factor:g}")


def _input(values: Values, builder: BuilderSpec) -> InputSpec:
    data = values.one_of(
        "TRAIN.DATASET",
        dict(zip(SAMPLINGS, SAMPLINGS, strict=True)),
        "PySlowFast's own loaders sample other frames than those the zoo was made with",
    )
    if values["TEST.DATASET"] != data:
        values.refuse("TEST.DATASET", f"{data!r}, as TRAIN.DATASET")
    pathways = 2 if isinstance(builder, SlowFastSpec) else 1
    if values["DATA.INPUT_CHANNEL_NUM"] not in ([3] * pathways, [3, 3]):
        values.refuse("DATA.INPUT_CHANNEL_NUM", repr([3] * pathways))
    if pathways == 1 and builder.name not in values["MODEL.SINGLE_PATHWAY_ARCH"]:
        values.refuse("MODEL.SINGLE_PATHWAY_ARCH", f"a list that names {builder.name!r}")
    crop, train_crop = values["DATA.TEST_CROP_SIZE"], values["DATA.TRAIN_CROP_SIZE"]
    if train_crop % 32 and not isinstance(builder, X3DSpec):
        values.refuse("DATA.TRAIN_CROP_SIZE", "a multiple of 32, as the head's pool needs it")
    if crop < train_crop:
        values.refuse("DATA.TEST_CROP_SIZE", f"{train_crop} (DATA.TRAIN_CROP_SIZE) or more")
    jitter = values["DATA.TRAIN_JITTER_SCALES"]
    if len(jitter) != 2 or not train_crop <= jitter[0] <= jitter[1]:
        values.refuse("DATA.TRAIN_JITTER_SCALES", f"two rising sizes from {train_crop} up")
    # Kinetics' loader scales to the smallest training size, the others to the crop.
    short_side = jitter[0] if data == "ptvkinetics" else crop
    if short_side < crop:
        values.refuse("DATA.TEST_CROP_SIZE", f"at most {short_side} (DATA.TRAIN_JITTER_SCALES)")
    if data == "ptvcharades" and values["DATA.TARGET_FPS"] != 30:
        values.refuse("DATA.TARGET_FPS", "30, the rate of Charades' frames")
    alpha = values["SLOWFAST.ALPHA"] if pathways == 2 else None
    if alpha is not None and (alpha < 1 or values["DATA.NUM_FRAMES"] % alpha):
        values.refuse("SLOWFAST.ALPHA", f"a divisor of {values['DATA.NUM_FRAMES']} frames")
    # The loaders of SSv2 and Charades reverse the channels once more than the key asks for.
    bgr = values["DATA.REVERSE_INPUT_CHANNEL"] != (data != "ptvkinetics")
    return InputSpec(
        num_frames=values["DATA.NUM_FRAMES"],
        sampling_rate=values["DATA.SAMPLING_RATE"],
        target_fps=values["DATA.TARGET_FPS"],
        sampling=SAMPLINGS[data],
        short_side=short_side,
        crop_size=crop,
        train_crop_size=train_crop,
        train_jitter=tuple(jitter),
        mean=values["DATA.MEAN"],
        std=values["DATA.STD"],
        channel_order="bgr" if bgr else "rgb",
        slowfast_alpha=alpha,
    )


def _protocol(values: Values) -> Protocol:
    clips = values["TEST.NUM_ENSEMBLE_VIEWS"]
    if values["TRAIN.DATASET"] == "ptvssv2" and clips != 1:
        values.refuse("TEST.NUM_ENSEMBLE_VIEWS", "1: SSv2 sees the whole video in one clip")
    ensemble = values.one_of("DATA.ENSEMBLE_METHOD", {"sum": "mean", "max": "max"})
    activations = {"softmax": "softmax", "sigmoid": "sigmoid"}
    several = values["DATA.MULTI_LABEL"]
    if several != (values["TRAIN.DATASET"] == "ptvcharades"):
        values.refuse("DATA.MULTI_LABEL", f"{not several} with {values['TRAIN.DATASET']}")
    return Protocol(
        num_clips=clips,
        num_crops=values["TEST.NUM_SPATIAL_CROPS"],
        activation=values.one_of("MODEL.HEAD_ACT", activations),
        ensemble=ensemble,
        metric="mean_average_precision" if several else "top1",
    )


# ---------------------------------------------------------------------------- the recipe


def _recipe(values: Values) -> Recipe:
    loss = "bce_logit" if values["DATA.MULTI_LABEL"] else "cross_entropy"
    norms = {"batchnorm": False, "sync_batchnorm": True}
    measured = values["BN.NUM_BATCHES_PRECISE"] if values["BN.USE_PRECISE_STATS"] else None
    try:
        return Recipe(
            epochs=values["SOLVER.MAX_EPOCH"],
            batch_size=values["TRAIN.BATCH_SIZE"],
            gpus=values["NUM_GPUS"],
            shards=values["NUM_SHARDS"],
            seed=values["RNG_SEED"],
            base_lr=values["SOLVER.BASE_LR"],
            policy=values.one_of(
                "SOLVER.LR_POLICY",
                {p: p for p in ("cosine", "steps_with_relative_lrs")},
            ),
            end_lr=values["SOLVER.COSINE_END_LR"],
            steps=values["SOLVER.STEPS"],
            relative_lrs=values["SOLVER.LRS"],
            warmup_epochs=values["SOLVER.WARMUP_EPOCHS"],
            warmup_start_lr=values["SOLVER.WARMUP_START_LR"],
            cosine_after_warmup=values["SOLVER.COSINE_AFTER_WARMUP"],
            scale_lr_by_shards=values["SOLVER.BASE_LR_SCALE_NUM_SHARDS"],
            optimizer=values.one_of(
                "SOLVER.OPTIMIZING_METHOD", {o: o for o in ("sgd", "adam", "adamw")}
            ),
            momentum=values["SOLVER.MOMENTUM"],
            dampening=values["SOLVER.DAMPENING"],
            nesterov=values["SOLVER.NESTEROV"],
            betas=values["SOLVER.BETAS"],
            weight_decay=values["SOLVER.WEIGHT_DECAY"],
            norm_weight_decay=values["BN.WEIGHT_DECAY"],
            decay_vectors=not values["SOLVER.ZERO_WD_1D_PARAM"],
            clip_grad_value=values["SOLVER.CLIP_GRAD_VAL"],
            clip_grad_norm=values["SOLVER.CLIP_GRAD_L2NORM"],
            loss=values.one_of("MODEL.LOSS_FUNC", {loss: loss}),
            random_flip=values["DATA.RANDOM_FLIP"],
            mixed_precision=values["TRAIN.MIXED_PRECISION"],
            precise_bn_batches=measured,
            frozen_bn=values["MODEL.FROZEN_BN"],
            sync_bn=values.one_of("BN.NORM_TYPE", norms),
            eval_period=values["TRAIN.EVAL_PERIOD"],
            checkpoint_period=values["TRAIN.CHECKPOINT_PERIOD"],
            reset_epoch=values["TRAIN.CHECKPOINT_EPOCH_RESET"],
            test_batch_size=values["TEST.BATCH_SIZE"],
            workers=values["DATA_LOADER.NUM_WORKERS"],
            tensorboard=values["TENSORBOARD.ENABLE"],
        )
    except ValidationError as error:
        raise _misfit(values, error) from error
