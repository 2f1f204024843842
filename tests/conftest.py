"""What several rooms' tests share: drawn checkpoints, made once a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tools import draw

Drawn = Callable[..., Path]


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """``drawn("x3d_xs", layout="pyslowfast", training=True, ...)`` -> path of such a checkpoint."""
    folder = tmp_path_factory.mktemp("drawn")
    made: dict[str, Path] = {}

    def make(name: str, **options: object) -> Path:
        key = "_".join([name, *(f"{k}={v}" for k, v in sorted(options.items()))]).replace("/", "_")
        if key not in made:
            made[key] = draw.write(name, folder / f"{key}.pyth", **options)
        return made[key]

    return make


@pytest.fixture(autouse=True)
def _surroundings(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No test sees the user's cache, manifests or pins, or reaches for the network."""
    monkeypatch.setenv("PTV_HUB_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    for variable in ("PTV_HUB_MANIFESTS", "PTV_HUB_MIRROR", "PTV_HUB_LOCK", "PTV_HUB_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
