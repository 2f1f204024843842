"""Entry, recipe and paths -> the config with which PySlowFast builds its own network of the kind.

The networks are equal, tensor by tensor (``weights/native.py``); what differs is the name of the
class, the loaders, and what these do with channels. Source: ``configs/Kinetics``, ``SSv2`` and
``Charades`` of PySlowFast at 287ec007, ``slowfast/models/build.py``.
"""

from __future__ import annotations

from typing import Any

from ptv_hub.errors import ConfigError
from ptv_hub.zoo.builder_specs import (
    EPS_MATTERS,
    NATIVE_ATTENTION_EPS,
    MViTSpec,
    ResNetSpec,
    SlowFastSpec,
    X3DSpec,
)
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.pyslowfast.reading import Config
from ptv_hub.zoo.pyslowfast.table import STAGE_DEPTHS
from ptv_hub.zoo.pyslowfast.writing import beside_the_network, listed, to_values, written

_ARCHS = {
    "c2d": "c2d",
    "c2d_nopool": "slow_c2d",
    "i3d": "i3d",
    "slow": "slow",
    "slowfast": "slowfast",
    "x3d": "x3d",
    "mvit": "mvit",
}
"""Builder -> ``MODEL.ARCH`` of PySlowFast's own network; of the others it has none."""
_LOADERS = {"seconds": "kinetics", "segments": "ssv2", "frames": "charades"}


def to_native_yaml(config: Config, *, complete: bool = False) -> str:
    """The YAML of PySlowFast's own network, as ``to_yaml`` writes that of its wrapper.

    Raises:
        ConfigError: PySlowFast has no such network, or cannot show it what it wants to see.
    """
    item = config.entry
    _require_native(item)
    if isinstance(item.builder, MViTSpec):
        values = {**_transformer(item, item.builder), **beside_the_network(config)}
        text = written({**listed(values), **_loaded(item)}, complete=complete)
        return _epsilon(item.builder) + text
    # The wrapper's C2D stands in where the wrapper has no such network: the rest is the same.
    if item.builder.name == "c2d_nopool":
        plain = item.builder.model_copy(update={"name": "c2d"})
        stand_in = item.model_copy(update={"builder": plain})
        config = config.model_copy(update={"entry": stand_in})
    return written({**to_values(config), **_own(item)}, complete=complete)


def _require_native(item: Entry) -> None:
    found = None
    if item.builder.name not in _ARCHS:
        found = f"{item.arch} {item.depth}"
    elif item.input.slow_frames != "linspace":
        found = "a slow pathway of every alpha-th frame; PySlowFast spreads them to the last"
    elif item.input.channel_order != "rgb":
        found = f"channels in the order {item.input.channel_order}"
    if found is not None:
        raise ConfigError(
            "PySlowFast has no network of its own for this model",
            where=item.name,
            expected=f"one of {', '.join(_ARCHS.values())}, with its own frames",
            found=found,
        )


def _own(item: Entry) -> dict[str, Any]:
    builder = item.builder
    values = {
        "MODEL.ARCH": _ARCHS[builder.name],
        "MODEL.MODEL_NAME": "ResNet",
        **_loaded(item),
    }
    if item.head.pooling == "global":
        values["MULTIGRID.SHORT_CYCLE"] = True
    if isinstance(builder, X3DSpec):
        return {**values, "MODEL.MODEL_NAME": "X3D"}
    if isinstance(builder, SlowFastSpec):
        nowhere: list[list[list[int]]] = [[[], []]] * 4
        ones = [[1, 1]] * 4
        own = {"NONLOCAL.LOCATION": nowhere, "NONLOCAL.GROUP": ones}
        return {**values, **own, "MODEL.MODEL_NAME": "SlowFast"}
    assert isinstance(builder, ResNetSpec)
    blocks = [[count] for count in STAGE_DEPTHS[builder.depth]]
    return {**values, "RESNET.NUM_BLOCK_TEMP_KERNEL": blocks}


def _loaded(item: Entry) -> dict[str, Any]:
    """Whose loaders bring the videos, and what these do otherwise than the wrapper's."""
    loader = _LOADERS[item.input.sampling.kind]
    return {
        "TRAIN.DATASET": loader,
        "TEST.DATASET": loader,
        # Its loaders of frames read them as BGR.
        "DATA.REVERSE_INPUT_CHANNEL": loader != "kinetics",
        # The last clip ends with the video.
        "DATA.USE_OFFSET_SAMPLING": item.protocol.clip_sampling == "main",
    }


def _epsilon(spec: MViTSpec) -> str:
    """A comment where PySlowFast, which has no key for it, builds another epsilon."""
    if spec.attention_norm_eps == NATIVE_ATTENTION_EPS:
        return ""
    return (
        f"# Layer norms within attention get epsilon {NATIVE_ATTENTION_EPS:g}, the model's have\n"
        f"# {spec.attention_norm_eps:g}, and no key says it: {EPS_MATTERS}.\n"
    )


def _transformer(item: Entry, spec: MViTSpec) -> dict[str, Any]:
    """An MViT.

    Source: ``configs/Kinetics/MVIT_B_16x4_CONV.yaml``; of a pool without a kernel of its own
    ``MViT.__init__`` makes one more than each stride, as ``MViTSpec.pool_kernel`` says.
    """
    return {
        "MODEL.MODEL_NAME": "MViT",
        "MODEL.ARCH": _ARCHS[spec.name],
        "MODEL.NUM_CLASSES": item.num_classes,
        "MODEL.DROPOUT_RATE": spec.dropout,
        "DATA.INPUT_CHANNEL_NUM": [3],
        "MVIT.DEPTH": spec.depth,
        "MVIT.PATCH_PADDING": [1, 3, 3],
        "MVIT.SEP_POS_EMBED": True,
        "MVIT.DIM_MUL": [[block, 2.0] for block in spec.widening_blocks],
        "MVIT.HEAD_MUL": [[block, 2.0] for block in spec.widening_blocks],
        "MVIT.POOL_Q_STRIDE": [[block, 1, 2, 2] for block in spec.widening_blocks],
        "MVIT.POOL_KV_STRIDE_ADAPTIVE": spec.kv_stride,
        "MVIT.POOL_KVQ_KERNEL": spec.pool_kernel,
    }
