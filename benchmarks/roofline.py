#!/usr/bin/env python3
"""How near each layer comes to what this machine can do: a roofline of one model.

Both peaks are measured here: FLOP/s by a product of two large matrices, bytes a second by a copy of
what no cache holds. A layer cannot be faster than its multiply-adds at the first, nor than what
it reads and writes at the second; the slower of the two is its bound. Each convolution is timed
alone, on the folded and packed kernels of the backend ``torch``, at the shapes that it meets.

    python benchmarks/roofline.py [--calls 5] [--views 3] [--json] [NAME ...]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch
from torch import Tensor

from benchmarks import measuring

MATRIX = 4096
COPIED = 512 << 20
"""Bytes; several times what the last cache holds."""


def seconds(way: Callable[[], Any], calls: int) -> float:
    way()
    return measuring.median_seconds(way, calls, time.perf_counter)


def peak_flops(calls: int) -> float:
    """Of float32 products, operations a second; a multiply-add is two."""
    one, other = torch.randn(MATRIX, MATRIX), torch.randn(MATRIX, MATRIX)
    out = torch.empty(MATRIX, MATRIX)
    return 2 * MATRIX**3 / seconds(lambda: torch.mm(one, other, out=out), calls)


def peak_bytes(calls: int) -> float:
    """Bytes a second, read and written, of a copy."""
    source = torch.ones(COPIED // 4)
    target = torch.empty_like(source)
    return 2 * COPIED / seconds(lambda: target.copy_(source), calls)


@dataclass(frozen=True)
class Layer:
    """One convolution at the shapes that it meets."""

    name: str
    seconds: float
    flops: float
    moved: float
    """Bytes of inputs, weights and outputs, each once."""

    def bound(self, flops: float, moved: float) -> float:
        """Seconds that it takes at least."""
        return max(self.flops / flops, self.moved / moved)

    def limit(self, flops: float, moved: float) -> str:
        return "arithmetic" if self.flops / flops > self.moved / moved else "memory"


def layers(name: str, views: int, calls: int) -> tuple[list[Layer], float]:
    """Every convolution of a model, and the seconds of a whole forward pass."""
    import ptv_hub
    from ptv_hub.engines.folding import FusedConv
    from ptv_hub.engines.memory import keep_freed_memory

    keep_freed_memory()
    fast = ptv_hub.optimize(ptv_hub.load(name, pretrained=False))
    spec = fast.entry.input
    clips = torch.randn(views, 3, spec.num_frames, spec.crop_size, spec.crop_size)
    met: list[tuple[str, FusedConv, tuple[Tensor, ...], Tensor]] = []
    hooks = [
        module.register_forward_hook(
            lambda conv, inputs, output, name=part: met.append((name, conv, inputs, output))
        )
        for part, module in fast.named_modules()
        if isinstance(module, FusedConv)
    ]
    fast(clips)
    for hook in hooks:
        hook.remove()
    found = [_measured(*one, calls) for one in met]
    met.clear()
    return found, seconds(lambda: fast(clips), calls)


def _measured(
    name: str, conv: Any, inputs: tuple[Tensor, ...], output: Tensor, calls: int
) -> Layer:
    weight = conv.weight
    products = output.numel() * weight[0].numel()
    moved = sum(x.nbytes for x in inputs if x is not None) + weight.nbytes + output.nbytes
    with torch.inference_mode():
        taken = seconds(lambda: conv(*inputs), calls)
    return Layer(name.removeprefix("_net."), taken, 2 * products, moved)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", default=["x3d_m", "slowfast_r50"])
    parser.add_argument("--calls", type=int, default=5)
    parser.add_argument("--views", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="write JSON to stdout, every layer")
    args = parser.parse_args()
    flops, moved = peak_flops(args.calls), peak_bytes(args.calls)
    told: dict[str, Any] = {"machine": measuring.machine(), "flops": flops, "bytes": moved}
    told["models"] = {}
    for name in args.names:
        found, whole = layers(name, args.views, args.calls)
        told["models"][name] = {"seconds": whole, "layers": [asdict(one) for one in found]}
        if not args.json:
            _print(name, found, whole, flops, moved)
    if args.json:
        print(json.dumps(told, indent=2))


def _print(name: str, found: list[Layer], whole: float, flops: float, moved: float) -> None:
    taken = sum(one.seconds for one in found)
    bound = sum(one.bound(flops, moved) for one in found)
    print(f"\n{name}: peaks {flops / 1e9:.0f} GFLOP/s, {moved / 1e9:.1f} GB/s, measured here")
    print(
        f"forward {1000 * whole:.0f} ms; its convolutions {1000 * taken:.0f} ms, at the peaks "
        f"{1000 * bound:.0f} ms ({100 * bound / taken:.0f} %); median layer "
        f"{100 * statistics.median(one.bound(flops, moved) / one.seconds for one in found):.0f} %\n"
    )
    print("| layer | ms | GFLOP/s | GB/s | bound by | of the bound, % | ms to be had |")
    print("|---|--:|--:|--:|---|--:|--:|")
    furthest = sorted(found, key=lambda one: one.bound(flops, moved) - one.seconds)[:5]
    for one in furthest:
        least = one.bound(flops, moved)
        print(
            f"| {one.name} | {1000 * one.seconds:.1f} | {one.flops / one.seconds / 1e9:.0f} "
            f"| {one.moved / one.seconds / 1e9:.1f} | {one.limit(flops, moved)} "
            f"| {100 * least / one.seconds:.0f} | {1000 * (one.seconds - least):.1f} |"
        )


if __name__ == "__main__":
    main()
