"""Build sdist and wheel, check them, install each in a new environment, and use it there.

    python tools/package.py        # with build and twine: make package

What is installed is run from an empty folder, so that nothing of the checkout is found by chance.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
COMMANDS = (
    ("--version",),
    ("list", "--json"),
    ("show", "x3d_m"),
    ("env",),
    ("data", "draw", "videos", "--train", "0", "--val", "1"),
    ("predict", "motion_x3d", "videos", "--csv"),
    ("convert", "motion_x3d", "--to", "pyslowfast", "-o", "converted.pyth"),
    ("verify", "motion_x3d", "--weights", "converted.pyth"),
)


def run(*words: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> None:
    print(
        "$", *(Path(word).name if Path(word).is_absolute() else word for word in words), flush=True
    )
    subprocess.run([str(word) for word in words], cwd=cwd, env=env, check=True)


def tried(package: Path, commands: Sequence[Sequence[str]]) -> None:
    """Install a package in a new environment and run the commands there, without a network."""
    with tempfile.TemporaryDirectory(prefix="ptv_hub-package-") as folder:
        place = Path(folder)
        run(sys.executable, "-m", "venv", place / "venv")
        python = place / "venv" / "bin" / "python"
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package)
        empty = place / "empty"
        empty.mkdir()
        env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        env |= {"PTV_HUB_CACHE": str(place / "cache"), "PTV_HUB_OFFLINE": "1"}
        for words in commands:
            run(python.with_name("ptv-hub"), *words, cwd=empty, env=env)


def main() -> None:
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", DIST, ROOT)
    packages = sorted(DIST.iterdir())
    run(sys.executable, "-m", "twine", "check", "--strict", *packages)
    for package in packages:
        tried(package, COMMANDS)
    print("built, checked, installed and used:", ", ".join(package.name for package in packages))


if __name__ == "__main__":
    main()
