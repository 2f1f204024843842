#!/usr/bin/env python3
"""Draw deterministic checkpoints of PySlowFast's own networks and of MMAction2's.

As draw.py: every tensor from a generator seeded by its own key, so that one name and seed give the
same numbers on every machine. The golden scores in tests/data were computed by these projects'
own code from seed 0. Keys, shapes and the scales of the classifiers stand in
tests/data/other_layouts.json.gz, read off networks that their owners built.

    python tools/draw_other.py native Kinetics/X3D_M X3D_M.pyth [--seed 0] [--bare] [--caffe2]
    python tools/draw_other.py mmaction2 slowonly_r50_8x8 slowonly.pth [--seed 0] [--bare]
    python tools/draw_other.py native --list
"""

from __future__ import annotations

import argparse
import gzip
import json
import pickle
import re
import sys
import zlib
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

TABLES = Path(__file__).resolve().parent.parent / "tests" / "data" / "other_layouts.json.gz"
CLASSIFIERS = ("head.projection.weight", "cls_head.fc_cls.weight", "cls_head.fc2.weight")

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


@cache
def tables() -> dict[str, Any]:
    """Layout -> ``entries`` (name -> facts) and ``layouts`` (rows of key, official key, shape)."""
    with gzip.open(TABLES) as file:
        return json.load(file)  # type: ignore[no-any-return]


def facts(layout: str, name: str) -> dict[str, Any]:
    """What is known of one network: its classes, frames, crop, and the scale of its classifier."""
    return tables()[layout]["entries"][name]  # type: ignore[no-any-return]


def state_dict(
    layout: str, name: str, seed: int = 0, *, wild: bool = False
) -> dict[str, torch.Tensor]:
    """Drawn weights under the owner's keys, float32 (and int64 counters).

    ``wild``: with batch norms far from doing nothing, variances from 0.05 to 4 and means beside 0.
    """
    known = facts(layout, name)
    rows = tables()[layout]["layouts"][known["layout"]]
    drawn = {row[0]: _tensor(row[0], row[2], known["head_scale"], seed) for row in rows}
    return {key: _wilder(key, value) for key, value in drawn.items()} if wild else drawn


def _wilder(key: str, value: torch.Tensor) -> torch.Tensor:
    if key.endswith("running_mean"):
        return 5 * value
    if key.endswith("running_var"):  # was even from 0.5 to 1.5
        return 0.05 * 80 ** (value - 0.5)
    return value


def zeros(layout: str, name: str) -> dict[str, torch.Tensor]:
    """Of the owner's keys and shapes, with nothing in them."""
    rows = tables()[layout]["layouts"][facts(layout, name)["layout"]]
    counters = {True: torch.int64, False: torch.float32}
    return {
        row[0]: torch.zeros(row[2], dtype=counters[row[0].endswith("num_batches_tracked")])
        for row in rows
    }


def _tensor(key: str, shape: list[int], head_scale: float, seed: int) -> torch.Tensor:
    rng = np.random.default_rng([seed, zlib.crc32(key.encode())])
    single = np.float32
    if key.endswith("num_batches_tracked"):
        return torch.tensor(1000, dtype=torch.int64).reshape(shape)
    if key.endswith("running_mean"):
        value = 0.1 * rng.standard_normal(shape, dtype=single)
    elif key.endswith("running_var"):
        value = 0.5 + rng.random(shape, dtype=single)
    elif key in CLASSIFIERS and not (key.endswith("fc2.weight") and len(shape) != 2):
        value = single(head_scale / np.sqrt(shape[1])) * rng.standard_normal(shape, dtype=single)
    elif len(shape) >= 2:
        fan_in = int(np.prod(shape[1:]))
        value = single(np.sqrt(2.0 / fan_in)) * rng.standard_normal(shape, dtype=single)
    elif key.endswith("weight"):  # the scale of a norm
        value = single(0.3) + single(0.4) * rng.random(shape, dtype=single)
    else:
        value = single(0.1) * rng.standard_normal(shape, dtype=single)
    return torch.from_numpy(value).contiguous()


def native_checkpoint(name: str, seed: int = 0, *, training: bool = True) -> dict[str, object]:
    """What PySlowFast's ``save_checkpoint`` writes of its own networks."""
    content: dict[str, object] = {"epoch": 195, "model_state": state_dict("native", name, seed)}
    if training:
        content["cfg"] = json.dumps(native_config(name), indent=1)  # YAML reads JSON
    return content


def native_config(name: str) -> dict[str, Any]:
    """What tells look-alikes apart, of the config in PySlowFast's checkpoints."""
    known = facts("native", name)
    return {
        "DATA": {
            "NUM_FRAMES": known["num_frames"],
            "SAMPLING_RATE": known["sampling_rate"],
            "TRAIN_CROP_SIZE": known["train_crop"],
            "TEST_CROP_SIZE": known["test_crop"],
        },
        "MODEL": {
            "ARCH": known["arch"],
            "MODEL_NAME": known["model"],
            "NUM_CLASSES": known["num_classes"],
            "HEAD_ACT": known["head_activation"],
        },
        "RESNET": {"DEPTH": known["depth"]},
        "SLOWFAST": {"ALPHA": known["alpha"] or 8},
    }


def mmaction2_checkpoint(name: str, seed: int = 0, *, meta: bool = True) -> dict[str, object]:
    """What MMAction2 publishes: ``meta`` and ``state_dict``."""
    content: dict[str, object] = {"state_dict": state_dict("mmaction2", name, seed)}
    if meta:
        told = {"epoch": 256, "iter": 1000, "mmengine_version": "0.10.7"}
        content = {"meta": told, **content}
    return content


# ---------------------------------------------------------------------------- Caffe2


def blob(key: str, last_blocks: dict[int, int]) -> str | None:
    """The name that Caffe2's writer gave to a native tensor; ``None`` where it wrote none.

    ``last_blocks``: of each stage its last block, after which the lateral fusion is named.
    """
    tail = {"weight": "w", "bias": "b"}
    norm = {"weight": "s", "bias": "b", "running_mean": "rm", "running_var": "riv"}
    if key.endswith("num_batches_tracked"):
        return None
    if found := re.fullmatch(r"head\.projection\.(\w+)", key):
        return f"pred_{tail[found[1]]}"
    if found := re.fullmatch(r"s1\.pathway(\d)_stem\.(conv|bn)\.(\w+)", key):
        fast = "t_" if found[1] == "1" else ""
        return fast + ("conv1_w" if found[2] == "conv" else f"res_conv1_bn_{norm[found[3]]}")
    if found := re.fullmatch(r"s(\d)_fuse\.(conv_f2s|bn)\.(\w+)", key):
        stage = int(found[1])
        base = f"t_res{stage}_{last_blocks.get(stage)}_branch2c_bn_subsample"
        base = "t_pool1_subsample" if stage == 1 else base
        return f"{base}_w" if found[2] == "conv_f2s" else f"{base}_bn_{norm[found[3]]}"
    pattern = r"s(\d)\.pathway(\d)_res(\d+)\.branch(\d)(?:\.([abc]))?(_bn)?\.(\w+)"
    found = re.fullmatch(pattern, key)
    if found is None:
        raise KeyError(key)
    fast = "t_" if found[2] == "1" else ""
    base = f"{fast}res{found[1]}_{found[3]}_branch{found[4]}{found[5] or ''}"
    return f"{base}_bn_{norm[found[7]]}" if found[6] else f"{base}_{tail[found[7]]}"


def blobs(tensors: dict[str, torch.Tensor]) -> dict[str, object]:
    """A network's tensors as Caffe2 kept them: with momentum, a learning rate and a counter."""
    last: dict[int, int] = {}
    for key in tensors:
        if found := re.match(r"s(\d)\.pathway0_res(\d+)\.", key):
            last[int(found[1])] = max(int(found[2]), last.get(int(found[1]), 0))
    named: dict[str, object] = {}
    for key, value in tensors.items():
        name = blob(key, last)
        if name is None:
            continue
        named[name] = value.numpy()
        if not name.endswith(("_rm", "_riv")):
            named[f"{name}_momentum"] = np.zeros_like(value.numpy())
    return {**named, "lr": np.zeros(1, np.float32), "model_iter": 1001}


class _Python2Pickler(pickle._Pickler):
    """Writes strings as Python 2's, and numpy's globals under their old names."""

    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def _string(self, value: str | bytes) -> None:
        raw = value.encode("latin1") if isinstance(value, str) else value
        short = len(raw) < 256
        head = pickle.SHORT_BINSTRING + bytes([len(raw)]) if short else pickle.BINSTRING
        self.write(head + (b"" if short else len(raw).to_bytes(4, "little")) + raw)  # type: ignore[attr-defined]
        self.memoize(value)  # type: ignore[attr-defined]

    def _global(self, value: Any, name: str | None = None) -> None:
        module = value.__module__.replace("numpy._core", "numpy.core")
        self.write(pickle.GLOBAL + f"{module}\n{value.__name__}\n".encode())  # type: ignore[attr-defined]
        self.memoize(value)  # type: ignore[attr-defined]

    dispatch[str] = dispatch[bytes] = _string
    dispatch[type] = dispatch[type(len)] = dispatch[type(lambda: None)] = _global
    save_global = _global


def write_caffe2(tensors: dict[str, torch.Tensor], path: Path) -> Path:
    """``{'blobs': ...}`` in the dialect of Python 2, as the real files are."""
    with path.open("wb") as file:
        _Python2Pickler(file, protocol=2).dump({"blobs": blobs(tensors)})
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("layout", choices=("native", "mmaction2"))
    parser.add_argument("name", nargs="?")
    parser.add_argument("out", nargs="?", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bare", action="store_true", help="no config, no meta")
    parser.add_argument("--caffe2", action="store_true", help="a .pkl of blobs (native ResNets)")
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()
    if args.list or args.out is None:
        print("\n".join(tables()[args.layout]["entries"]))
        return
    args.out.parent.mkdir(parents=True, exist_ok=True)
    if args.caffe2:
        write_caffe2(state_dict("native", args.name, args.seed), args.out)
    elif args.layout == "native":
        torch.save(native_checkpoint(args.name, args.seed, training=not args.bare), args.out)
    else:
        torch.save(mmaction2_checkpoint(args.name, args.seed, meta=not args.bare), args.out)


if __name__ == "__main__":
    main()
