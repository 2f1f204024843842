#!/usr/bin/env python3
"""Which layers a model must keep in float32 to stay itself in eight bits: a search over accuracy.

Greedy: of the roles that may be kept (``engines.kept.ROLES``) the one that lowers the
Kullback-Leibler divergence from float32 the most is kept, as long as it lowers it by a third.
Nothing but views of the folder is looked at: of a trained model (``motion_x3d``) those of its
training split, of the zoo's models with weights drawn here, since the real ones are not at hand.
What is found is written into ``engines/kept.py`` by hand, and the table into docs/performance.md.

    python tools/int8_search.py VIDEOS [--views 64] [--seed 0] NAME ...
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

import ptv_hub
from ptv_hub.datasets.calibration import calibration
from ptv_hub.engines.agreement import Agreement, agreement
from ptv_hub.engines.folding import fold
from ptv_hub.engines.int8 import scores_by
from ptv_hub.engines.kept import ROLES, Role
from ptv_hub.engines.optimized import optimize
from ptv_hub.engines.quantizing import PositionLogits, layers, pathways_of, traced, with_nncf
from ptv_hub.models.builders import VideoModel, activated
from tools import draw

LOWERS = 2 / 3
"""What is kept must lower the divergence at least to this part of it."""


class Search:
    """One model, its views, and what was found of each choice of roles."""

    def __init__(self, model: VideoModel, videos: str, views: int, seed: int) -> None:
        drawn = calibration(model.entry, videos, views=views, seed=seed)
        self.net, _ = fold(model)
        wanted = optimize(model, "torch")
        wanted.activation = model.entry.protocol.activation
        self.held_out = list(drawn.held_out())
        with torch.inference_mode():  # once: every choice is compared with the same scores
            self.wanted = [wanted(view[None]) for view in self.held_out]
        self.inputs = [
            [one.numpy() for one in pathways_of(self.net, view[None])]
            for view in drawn.calibrating()
        ]
        spec = model.entry.input
        clip = torch.zeros(1, 3, spec.num_frames, spec.crop_size, spec.crop_size)
        with activated(self.net, None):
            self.graph: Any = traced(PositionLogits(self.net), pathways_of(self.net, clip))
        self.roles = [r for r in ROLES if r in {one for _, one in layers(self.graph, self.net)}]

    def tried(self, kept: Sequence[Role]) -> Agreement:
        made = with_nncf(self.graph, self.inputs, self.net, kept)
        known = iter(self.wanted)
        found = agreement(lambda clip: next(known), scores_by(made, self.net), self.held_out)
        telling = found.same_top1_telling
        told = "-" if telling is None else f"{telling:.1f} of {found.telling}"
        print(
            f"| {self.net.entry.name} | {', '.join(kept) or 'nothing'} | {found.divergence:.1e} "
            f"| {found.same_top1:.1f} | {told} | {found.max_difference:.1e} |",
            flush=True,
        )
        return found

    def run(self) -> list[Role]:
        """The roles to keep, the most telling first."""
        kept: list[Role] = []
        best = self.tried(kept).divergence
        while len(kept) < len(self.roles):
            found = {
                role: self.tried([*kept, role]).divergence
                for role in self.roles
                if role not in kept
            }
            role = min(found, key=lambda one: found[one])
            if found[role] > LOWERS * best:
                break
            kept.append(role)
            best = found[role]
        return kept


def loaded(name: str) -> VideoModel:
    if ptv_hub.entry(name).demonstration:
        return ptv_hub.load(name)
    model = ptv_hub.load(name, pretrained=False)
    model.load_state_dict(draw.state_dict(name, layout="official"))
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("videos")
    parser.add_argument("names", nargs="+")
    parser.add_argument("--views", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print("| model | kept | KL | same top-1, % | of views over 5 % margin | largest difference |")
    print("|---|---|--:|--:|--:|--:|")
    for name in args.names:
        model = loaded(name)
        kept = Search(model, args.videos, args.views, args.seed).run()
        print(f"| {name} | **{', '.join(kept) or 'nothing'}** |  |  |  |  |", flush=True)


if __name__ == "__main__":
    main()
