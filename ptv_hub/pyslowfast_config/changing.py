"""A config with some of PySlowFast's keys changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ptv_hub.pyslowfast_config.reading import Config, read_values
from ptv_hub.pyslowfast_config.values import with_pairs
from ptv_hub.pyslowfast_config.writing import to_values

__all__ = ["changed"]

_MODEL = (
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
    model = {field: getattr(new.entry, field) for field in _MODEL}
    if new.entry.num_classes != config.entry.num_classes:
        model["labels"] = ()
    recipe = new.recipe.model_copy(update={"frozen_stages": config.recipe.frozen_stages})
    entry = config.entry.model_copy(update=model)
    pairs = set(map(str, opts[::2]))
    ignored = tuple(text for text in new.ignored if text.split(" = ")[0] in pairs)
    return Config(entry=entry, recipe=recipe, paths=new.paths, ignored=(*config.ignored, *ignored))
