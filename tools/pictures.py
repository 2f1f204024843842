#!/usr/bin/env python3
"""Draw the pictures of docs/img anew: what ``make demo`` draws.

python tools/pictures.py
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import ptv_hub
from tools import demo

IMAGES = ROOT / "docs" / "img"
PICTURES = {"picture.png": "demo.png", "picture-narrow.png": "demo-narrow.png"}
"""As the demonstration names it -> as the documentation does."""


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        demo.see(ptv_hub.load(demo.NAME), demo.draw(folder), folder)
        for made, name in PICTURES.items():
            shutil.copyfile(folder / made, IMAGES / name)
            print(f"{IMAGES.relative_to(ROOT) / name}: {(IMAGES / name).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
