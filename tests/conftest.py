"""What several rooms' tests share: drawn checkpoints, made once a run; and walls around them."""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from ptv_hub.datasets.listing import Listing
from ptv_hub.datasets.motion import CLASSES
from ptv_hub.datasets.reading import read_listing
from ptv_hub.evaluation.loop import evaluate
from ptv_hub.fetching.hub import entry
from ptv_hub.verification.repeated import kept, predictions
from tools import draw

TOGETHER = frozenset(
    {
        "attestation/test_first_day.py",
        "cli/test_which_model.py",
        "engines/test_optimized.py",
        "inference/test_annotated.py",
        "inference/test_features.py",
        "inference/test_predict.py",
        "inference/test_watching.py",
        "publish/test_push.py",
        "publish/test_site.py",
        "test_torch_hub.py",
        "training/test_engine.py",
        "training/test_finishing.py",
        "training/test_source.py",
        "verification/test_repeated.py",
    }
)
"""Files whose tests share what takes seconds to make: each in one process, which makes it once."""

Drawn = Callable[..., Path]
settings.register_profile("patient", deadline=None)  # a deadline judges the machine, not the code
settings.load_profile("patient")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        name = item.path.relative_to(Path(__file__).parent).as_posix()
        if name in TOGETHER:
            item.add_marker(pytest.mark.xdist_group(name))


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


@pytest.fixture(scope="session")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Listing]:
    """``held_out(60)`` -> so many of motion_x3d's held-out videos, drawn once a run."""
    folder = tmp_path_factory.mktemp("motion")

    def videos(count: int) -> Listing:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PTV_HUB_CACHE", str(folder))
            return read_listing(entry("motion_x3d"), f"drawn:{count}")

    return videos


@pytest.fixture(scope="session")
def flipped(
    held_out: Callable[[int], Listing], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., list[str]]:
    """``flipped(model)`` -> the held-out videos that it takes for something else than published.

    The model is motion_x3d, run in some other way: in eight bits, by another backend, read back
    from another format. Of 60 videos none or one may flip; a broken one flips half of them.
    """

    def videos(model: object, count: int = 60, **options: object) -> list[str]:
        out = tmp_path_factory.mktemp("evaluation")
        evaluate(model, held_out(count), out=out, **options)
        said = predictions(out / "scores.npz", CLASSES)
        before = kept(entry("motion_x3d"))
        assert len(said) == count
        return [item for item in said if said[item] != before[item].predicted]

    return videos


# Where a test imports OpenVINO itself, its telemetry would be sent by a process of its own.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> Iterator[None]:
    """No test of this process reaches further than loopback: one that tries fails, and says so."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex
    getaddrinfo = socket.getaddrinfo

    def checked_connect(self: socket.socket, address: object) -> None:
        _refuse_far(self, address)
        connect(self, address)

    def checked_connect_ex(self: socket.socket, address: object) -> int:
        _refuse_far(self, address)
        return connect_ex(self, address)

    def checked_getaddrinfo(host: object, *more: object, **options: object) -> object:
        if not _is_near(host):
            pytest.fail(f"a test asks for the address of {host!r}")
        return getaddrinfo(host, *more, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", checked_connect)
        patch.setattr(socket.socket, "connect_ex", checked_connect_ex)
        patch.setattr(socket, "getaddrinfo", checked_getaddrinfo)
        yield


def _refuse_far(used: socket.socket, address: object) -> None:
    internet = used.family in (socket.AF_INET, socket.AF_INET6)
    # pytest's failure is no Exception: what catches the network's errors does not hide it.
    if internet and isinstance(address, tuple) and not _is_near(address[0]):
        pytest.fail(f"a test connects to {address!r}")


def _is_near(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode()
    if host is None or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return False


@pytest.fixture(scope="session", autouse=True)
def _no_users_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing, not even what is made once a run, sees the user's caches, manifests or pins."""
    folder = tmp_path_factory.mktemp("surroundings")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PTV_HUB_CACHE", str(folder / "cache"))
        patch.setenv("HF_HOME", str(folder / "hf"))
        for variable in ("PTV_HUB_MANIFESTS", "PTV_HUB_MIRROR", "PTV_HUB_LOCK", "PTV_HUB_OFFLINE"):
            patch.delenv(variable, raising=False)
        yield


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each test begins with an empty cache."""
    monkeypatch.setenv("PTV_HUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium, for slow tests."""
    from tests.browser import chromium

    with chromium() as running:
        yield running
