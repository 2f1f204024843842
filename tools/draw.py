#!/usr/bin/env python3
"""Draw deterministic checkpoints and clips of any model of the zoo.

For the demo, tests and benchmarks, which must not need the real weights. Every tensor is
drawn from a generator seeded by its own key, so one name and seed give the same numbers on
every machine; the golden scores in tests/data were computed by PySlowFast from these.

    python tools/draw.py Kinetics/X3D_XS X3D_XS.pyth [--seed 0] [--official] [--legacy] [--bare]

Like the real files, about half of what it writes is the optimizer's state; --bare leaves
that out.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ptv_hub.fetching.hub import entry
from ptv_hub.models.builders import shapes
from ptv_hub.verification.goldens import drawn_clip as clip
from ptv_hub.weights import layouts
from ptv_hub.zoo.entry import Entry

__all__ = ["checkpoint", "clip", "config_key", "state_dict", "write"]

HEAD_SCALE = {
    "Charades/SLOWFAST_8x8_R50": 7.459742,
    "Charades/SLOW_8x8_R50": 6.989043,
    "Kinetics/C2D_8x8_R50": 6.164213,
    "Kinetics/CSN_32x2_R101": 4.135275,
    "Kinetics/I3D_8x8_R50": 6.416946,
    "Kinetics/R2PLUS1D_16x4_R50": 7.539253,
    "Kinetics/SLOWFAST_16x8_R101_50_50": 4.188421,
    "Kinetics/SLOWFAST_4x16_R50": 7.315186,
    "Kinetics/SLOWFAST_8x8_R101": 4.259355,
    "Kinetics/SLOWFAST_8x8_R50": 7.450515,
    "Kinetics/SLOW_4x16_R50": 6.660915,
    "Kinetics/SLOW_8x8_R50": 6.595437,
    "Kinetics/X3D_L": 5.601608,
    "Kinetics/X3D_M": 8.730249,
    "Kinetics/X3D_S": 8.746363,
    "Kinetics/X3D_XS": 8.882922,
    "SSv2/SLOWFAST_8x8_R50": 7.245763,
    "SSv2/SLOW_8x8_R50": 7.006228,
}
"""Chosen so that a drawn model's scores are spread as a trained one's, not all alike."""


def config_key(item: Entry) -> str:
    """``Kinetics/X3D_XS``: how the golden files name an entry."""
    return item.config.replace("/pytorchvideo/", "/")


def state_dict(name: str, seed: int = 0, *, layout: str = "pyslowfast") -> dict[str, torch.Tensor]:
    """Drawn weights of one model, float32 (and int64 counters), in either layout."""
    item = entry(name)
    head_scale = HEAD_SCALE.get(config_key(item), 7.0)
    keyed = layouts.convert(shapes(item), "official", "pyslowfast")
    tensors = {key: _tensor(key, shape, head_scale, seed) for key, shape in keyed.items()}
    return layouts.convert(tensors, "pyslowfast", layout)


def _tensor(key: str, shape: tuple[int, ...], head_scale: float, seed: int) -> torch.Tensor:
    rng = np.random.default_rng([seed, zlib.crc32(key.encode())])
    if key.endswith("num_batches_tracked"):
        return torch.tensor(1000, dtype=torch.int64).reshape(shape)
    if key.endswith("running_mean"):
        return torch.from_numpy(0.1 * rng.standard_normal(shape, dtype=np.float32))
    if key.endswith("running_var"):
        return torch.from_numpy(0.5 + rng.random(shape, dtype=np.float32))
    if key.endswith("proj.weight"):
        scale = np.float32(head_scale / np.sqrt(shape[1]))
        return torch.from_numpy(scale * rng.standard_normal(shape, dtype=np.float32))
    if len(shape) >= 2:
        scale = np.float32(np.sqrt(2.0 / int(np.prod(shape[1:]))))
        return torch.from_numpy(scale * rng.standard_normal(shape, dtype=np.float32))
    if key.endswith("weight"):  # the scale of a norm
        return torch.from_numpy(
            np.float32(0.3) + np.float32(0.4) * rng.random(shape, dtype=np.float32)
        )
    return torch.from_numpy(np.float32(0.1) * rng.standard_normal(shape, dtype=np.float32))


def checkpoint(
    name: str, seed: int = 0, *, layout: str = "pyslowfast", training: bool = True
) -> dict[str, object]:
    """What PySlowFast's own ``save_checkpoint`` would write: weights, optimizer state, config."""
    item = entry(name)
    tensors = state_dict(name, seed, layout=layout)
    content: dict[str, object] = {"epoch": 195, "model_state": tensors}
    if training:
        trained = [
            value
            for key, value in tensors.items()
            if value.is_floating_point() and "running_" not in key
        ]
        content["optimizer_state"] = {
            "state": {i: {"momentum_buffer": 0.01 * value} for i, value in enumerate(trained)},
            "param_groups": [{"lr": 0.1, "momentum": 0.9, "params": list(range(len(trained)))}],
        }
        config = {
            "MODEL": {"NUM_CLASSES": item.num_classes, "ARCH": item.builder.name},
            "DATA": {
                "NUM_FRAMES": item.input.num_frames,
                "SAMPLING_RATE": item.input.sampling_rate,
                "TRAIN_CROP_SIZE": item.input.train_crop_size,
                "TEST_CROP_SIZE": item.input.crop_size,
            },
        }
        content["cfg"] = json.dumps(config, indent=1)  # YAML reads JSON
    return content


def write(
    name: str,
    path: str | Path,
    *,
    layout: str = "pyslowfast",
    training: bool = True,
    legacy: bool = False,
    seed: int = 0,
) -> Path:
    """Write a drawn checkpoint; ``legacy`` is torch's file format before 1.6, not a zip."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = checkpoint(name, seed, layout=layout, training=training)
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="a hub name, zoo name or config path: Kinetics/X3D_XS")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--official", action="store_true", help="write the keys without 'model.'")
    parser.add_argument("--bare", action="store_true", help="no optimizer state")
    parser.add_argument("--legacy", action="store_true", help="torch's old file format, not a zip")
    args = parser.parse_args()
    write(
        args.name,
        args.out,
        layout="official" if args.official else "pyslowfast",
        training=not args.bare,
        legacy=args.legacy,
        seed=args.seed,
    )


if __name__ == "__main__":
    main()
