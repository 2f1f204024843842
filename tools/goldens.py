#!/usr/bin/env python3
"""Write ptv_hub/verification/goldens.json: what PySlowFast computed from the drawn weights.

    python tools/goldens.py [--check]

The outputs are those of tests/data/forward.npz, where PySlowFast's own models, built from its
own configs, were given the weights and the clip of tools/draw.py (seed 0).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ptv_hub.models.digest import digest
from ptv_hub.verification.goldens import Golden, to_json
from ptv_hub.zoo.manifest import entries
from tools import draw

TARGET = ROOT / "ptv_hub" / "verification" / "goldens.json"


def text() -> str:
    known = np.load(ROOT / "tests" / "data" / "forward.npz")
    goldens = []
    for item in entries():
        key = draw.config_key(item)
        goldens.append(
            Golden(
                digest=digest(draw.state_dict(item.name, layout="official")),
                entry=item.name,
                weights=f"weights of {item.name} drawn by tools/draw.py (seed 0), not trained",
                computed_by="PySlowFast's outputs for a drawn clip",
                num_frames=item.input.num_frames,
                crop_size=item.input.crop_size,
                activation=item.protocol.activation,
                logits=tuple(known[f"{key}/logits"][0].tolist()),
                scores=tuple(known[f"{key}/scores"][0].tolist()),
            )
        )
    return to_json(tuple(goldens))


def main() -> None:
    wanted = text()
    if "--check" in sys.argv[1:]:
        if TARGET.read_text(encoding="utf-8") != wanted:
            raise SystemExit(f"not current: {TARGET.name}; run 'python tools/goldens.py'")
        return
    TARGET.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    main()
