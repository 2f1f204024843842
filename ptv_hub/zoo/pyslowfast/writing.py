"""Entry, recipe and paths -> a PySlowFast config."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ptv_hub.errors import ConfigError
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.input_spec import SecondsSampling
from ptv_hub.zoo.pyslowfast import table
from ptv_hub.zoo.pyslowfast.reading import Config, read_values
from ptv_hub.zoo.pyslowfast.table import MODEL_NAMES
from ptv_hub.zoo.pyslowfast.values import defaults, nested, with_pairs
from ptv_hub.zoo.recipe import WITHOUT_KEY

# Written even where they are PySlowFast's defaults: what somebody who reads a config looks for.
_ALWAYS = {
    "MODEL.MODEL_NAME",
    "MODEL.ARCH",
    "MODEL.NUM_CLASSES",
    "MODEL.LOSS_FUNC",
    "MODEL.DROPOUT_RATE",
    "MODEL.HEAD_ACT",
    "DATA.NUM_FRAMES",
    "DATA.SAMPLING_RATE",
    "DATA.TRAIN_JITTER_SCALES",
    "DATA.TRAIN_CROP_SIZE",
    "DATA.TEST_CROP_SIZE",
    "DATA.INPUT_CHANNEL_NUM",
    "TRAIN.DATASET",
    "TRAIN.BATCH_SIZE",
    "TEST.DATASET",
    "TEST.BATCH_SIZE",
    "TEST.NUM_ENSEMBLE_VIEWS",
    "TEST.NUM_SPATIAL_CROPS",
    "SOLVER.BASE_LR",
    "SOLVER.LR_POLICY",
    "SOLVER.MAX_EPOCH",
    "SOLVER.WARMUP_EPOCHS",
    "SOLVER.WARMUP_START_LR",
    "SOLVER.WEIGHT_DECAY",
    "SOLVER.MOMENTUM",
    "SOLVER.OPTIMIZING_METHOD",
    "BN.USE_PRECISE_STATS",
    "BN.NUM_BATCHES_PRECISE",
    "RESNET.DEPTH",
    "SLOWFAST.ALPHA",
    "SLOWFAST.BETA_INV",
    "SLOWFAST.FUSION_KERNEL_SZ",
    "NUM_GPUS",
    "NUM_SHARDS",
    "RNG_SEED",
    "OUTPUT_DIR",
}


def to_yaml(config: Config, *, complete: bool = False) -> str:
    """The YAML with which PySlowFast builds, trains and tests this.

    ``complete`` writes every key that PySlowFast has, as its checkpoints' ``cfg`` does; else
    those that differ from its defaults, and those that people look for. What PySlowFast has
    no key for (``recipe.WITHOUT_KEY``) is left out.
    """
    return written(to_values(config), complete=complete)


def written(values: dict[str, Any], *, complete: bool = False) -> str:
    """Dotted keys and values as YAML with sections, as ``to_yaml`` says."""
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
    entry = config.entry
    _require_wrapped(entry)
    network = {
        **_constants(entry),
        **table.written(table.ENTRY, entry),
        **table.written(table.BUILDERS[entry.builder.name], entry.builder),
    }
    return listed({**network, **beside_the_network(config)})


def beside_the_network(config: Config) -> dict[str, Any]:
    """What is written of any model alike: input, protocol, recipe and paths."""
    entry = config.entry
    return {
        **table.written(table.INPUT, entry.input),
        **table.written(table.TWO_PATHWAYS if entry.input.slowfast_alpha else (), entry.input),
        **table.written(table.PROTOCOL, entry.protocol),
        **table.written(table.RECIPE, config.recipe),
        **table.written(table.PATHS, config.paths),
    }


def listed(values: dict[str, Any]) -> dict[str, Any]:
    """With lists for tuples, as YAML has them."""
    return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}


def _require_wrapped(entry: Entry) -> None:
    if entry.head.takes_boxes:
        raise ConfigError(
            "a config of detection is not written",
            where=entry.name,
            expected="a model that scores whole videos",
            found=f"{entry.arch} with a head for boxes, and AVA's lists of them",
        )
    name = entry.builder.name
    if name not in MODEL_NAMES:
        raise ConfigError(
            "PySlowFast's wrapper has no such network",
            where=entry.name,
            expected=f"one of {', '.join(MODEL_NAMES)}",
            found=name,
            fix="'ptv-hub config NAME --native', without KEY VALUE pairs, is of PySlowFast's own,"
            " where it has one",
        )


def _constants(entry: Entry) -> dict[str, Any]:
    """Keys that follow from the kind of model; reading refuses other values, or ignores them."""
    name, spec = entry.builder.name, entry.input
    values: dict[str, Any] = {
        "MODEL.MODEL_NAME": MODEL_NAMES[name],
        "MODEL.ARCH": name,
        # No effect on PyTorchVideo's models, which always begin so.
        "RESNET.ZERO_INIT_FINAL_BN": True,
        "DATA.INPUT_CHANNEL_NUM": [3] * spec.num_pathways,
        # No effect with these loaders; PySlowFast's configs of stamped frames state it.
        "DATA.INV_UNIFORM_SAMPLE": not isinstance(spec.sampling, SecondsSampling),
    }
    if name == "x3d":
        values["RESNET.TRANS_FUNC"] = "x3d_transform"
    if name in ("csn", "r2plus1d"):
        # PySlowFast packs the input by this list, and its default names neither.
        values["MODEL.SINGLE_PATHWAY_ARCH"] = [name]
    if name == "slowfast":
        values["RESNET.SPATIAL_STRIDES"] = [[1, 1], [2, 2], [2, 2], [2, 2]]
        values["RESNET.SPATIAL_DILATIONS"] = [[1, 1], [1, 1], [1, 1], [1, 1]]
    return values


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
    kept = {field: getattr(config.recipe, field) for field in WITHOUT_KEY}
    recipe = new.recipe.model_copy(update=kept)
    entry = config.entry.model_copy(update=model)
    pairs = set(map(str, opts[::2]))
    ignored = tuple(text for text in new.ignored if text.split(" = ")[0] in pairs)
    return Config(entry=entry, recipe=recipe, paths=new.paths, ignored=(*config.ignored, *ignored))
