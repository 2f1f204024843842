"""PySlowFast's YAML <-> what this project knows: an entry, a recipe, paths.

``from_config`` reads; ``to_yaml`` writes. What a config says of models is what PySlowFast's
``slowfast/models/ptv_model_builder.py`` makes of it, of data what its
``slowfast/datasets/ptv_datasets.py`` does. A value that has no meaning here is an error that
says so; a key that has no effect is listed in ``Config.ignored``, once.
"""

from __future__ import annotations

from ptv_hub.zoo.pyslowfast.native import to_native_yaml
from ptv_hub.zoo.pyslowfast.reading import Config, Paths, from_config
from ptv_hub.zoo.pyslowfast.writing import changed, to_values, to_yaml

__all__ = ["Config", "Paths", "changed", "from_config", "to_native_yaml", "to_values", "to_yaml"]
