"""A PySlowFast config -> entry, recipe and paths."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ptv_hub.errors import ConfigError
from ptv_hub.zoo.builder_specs import BuilderSpec, ResNetSpec, SlowFastSpec, X3DSpec
from ptv_hub.zoo.entry import Entry, License
from ptv_hub.zoo.input_spec import InputSpec, Protocol
from ptv_hub.zoo.names import name_of
from ptv_hub.zoo.pyslowfast import table
from ptv_hub.zoo.pyslowfast.models import ARCHS, MODELS
from ptv_hub.zoo.pyslowfast.values import Values, read
from ptv_hub.zoo.recipe import Recipe
from ptv_hub.zoo.records import Record, first_faults


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
    paths = Paths(**table.read(table.PATHS, values))
    ignored = tuple(f"{key} = {values.given[key]}" for key in values.unread())
    return Config(entry=entry, recipe=recipe, paths=paths, ignored=ignored)


# Keys that would change the model, the data or the training, and the only value known here.
_ONLY: dict[str, Any] = {
    "TASK": "",
    "AUG.ENABLE": False,
    "BN.NUM_SPLITS": 1,
    "DETECTION.ENABLE": False,
    "MASK.ENABLE": False,
    "MULTIGRID.LONG_CYCLE": False,
    "MULTIGRID.SHORT_CYCLE": False,
    "RESNET.STRIDE_1X1": False,
    "SOLVER.LARS_ON": False,
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
        fields = table.read(table.ENTRY, values)
        alpha = spec.slowfast_alpha or 1
        data = values["TRAIN.DATASET"]
        return Entry(
            name=name_of(path.stem.lower()),
            zoo_name=path.stem,
            config=_config_path(path),
            arch=ARCHS[builder.name],
            depth=_size(builder, spec),
            frame_length=spec.num_frames // alpha,
            sample_rate=spec.sampling_rate * alpha,
            builder=builder,
            **fields,
            artifacts=(),
            input=spec,
            protocol=_protocol(values),
            dataset=DATASETS.get((data, fields["num_classes"]), data.removeprefix("ptv")),
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
    if isinstance(builder, (ResNetSpec, SlowFastSpec)):
        return f"R{builder.depth}"
    assert isinstance(builder, X3DSpec)
    known = {(4, 2.2, 182): "XS", (13, 2.2, 182): "S", (16, 2.2, 256): "M", (16, 5.0, 356): "L"}
    size = (spec.num_frames, builder.depth_factor, spec.crop_size)
    return known.get(size, f"w{builder.width_factor:g} d{builder.depth_factor:g}")


def _input(values: Values, builder: BuilderSpec) -> InputSpec:
    fields = table.read(table.INPUT, values)
    data = values["TRAIN.DATASET"]
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
    if pathways == 2:
        fields |= table.read(table.TWO_PATHWAYS, values)
        alpha = fields["slowfast_alpha"]
        if alpha < 1 or values["DATA.NUM_FRAMES"] % alpha:
            values.refuse("SLOWFAST.ALPHA", f"a divisor of {values['DATA.NUM_FRAMES']} frames")
    return InputSpec.model_validate({**fields, "short_side": short_side})


def _protocol(values: Values) -> Protocol:
    clips = values["TEST.NUM_ENSEMBLE_VIEWS"]
    if values["TRAIN.DATASET"] == "ptvssv2" and clips != 1:
        values.refuse("TEST.NUM_ENSEMBLE_VIEWS", "1: SSv2 sees the whole video in one clip")
    several = values["DATA.MULTI_LABEL"]
    if several != (values["TRAIN.DATASET"] == "ptvcharades"):
        values.refuse("DATA.MULTI_LABEL", f"{not several} with {values['TRAIN.DATASET']}")
    return Protocol.model_validate(table.read(table.PROTOCOL, values))


def _recipe(values: Values) -> Recipe:
    try:
        return Recipe.model_validate(table.read(table.RECIPE, values))
    except ValidationError as error:
        raise _misfit(values, error) from error
