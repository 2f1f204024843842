"""torch.hub on a bare clone, in a process that has only what a clone may need."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ptv_hub import read_manifest
from ptv_hub.errors import OfflineError
from ptv_hub.fetching.hub import entry
from ptv_hub.weights.load import load
from ptv_hub.zoo.manifest import demonstrations, entries, of_zoo
from tests import ROOT
from tests.server import Answer, Server
from tools import draw

NEEDED = ["torch", "torchvision", "pytorchvideo", "pydantic", "requests", "tqdm", "safetensors"]
REFUSED = ["typer", "rich", "huggingface_hub", "torchmetrics", "sklearn", "onnx", "av", "yaml"]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder of links to the hub's dependencies and what they bring, and to nothing else."""
    folder = tmp_path_factory.mktemp("site")
    wanted, seen = list(NEEDED), set()
    while wanted:
        name = canonicalize_name(wanted.pop())
        if name in seen:
            continue
        seen.add(name)
        try:
            package = distribution(name)
        except PackageNotFoundError:  # of another platform
            continue
        for text in package.requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                wanted.append(requirement.name)
        for file in package.files or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (folder / top).exists():
                (folder / top).symlink_to(Path(package.locate_file(top)).resolve())
    # pytorchvideo brings these for its data sets; no model needs them, so no clone gets them.
    for name in ("av", "yaml", "_yaml"):
        (folder / name).unlink(missing_ok=True)
    return folder


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A clone as torch.hub keeps it, in a TORCH_HOME of its own."""
    place = tmp_path_factory.mktemp("torch") / "hub" / "org_ptv_hub_main"
    for name in ("ptv_hub", "manifests"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "hubconf.py", place)
    return place


def run(clone: Path, site: Path, code: str, **environment: str) -> dict:
    """What ``code`` leaves in ``result``, run away from the project."""
    head = (
        "import contextlib, io, json, sys, torch\n"
        "from pathlib import Path\n"
        f"clone, result = {str(clone)!r}, {{}}\n"
    )
    tail = "\nPath(sys.argv[1]).write_text(json.dumps(result))"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PTV_HUB_"))}
    answer = clone.parent.parent / "result.json"
    done = subprocess.run(
        # -S: no site-packages; only PYTHONPATH.
        [sys.executable, "-S", "-s", "-c", head + code + tail, str(answer)],
        env={
            **kept,
            "PYTHONPATH": str(site),
            "TORCH_HOME": str(clone.parent.parent),
            "OMP_NUM_THREADS": "1",
            **environment,
        },
        cwd=clone.parent.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(answer.read_text())


def test_a_bare_clone_works_with_only_its_dependencies(site, clone, drawn, tmp_path):
    weights = str(drawn("x3d_xs"))
    zoo = tmp_path / "zoo"
    for artifact in entry("x3d_xs").artifacts[:1]:
        (zoo / artifact.path).parent.mkdir(parents=True)
        shutil.copy(weights, zoo / artifact.path)
    result = run(
        clone,
        site,
        f"""
refused = []
for name in {REFUSED!r}:
    try:
        __import__(name)
    except ModuleNotFoundError:
        refused.append(name)
result["refused"] = refused
repo = "org/ptv_hub:main"
result["list"] = torch.hub.list(repo)
result["help"] = {{name: torch.hub.help(repo, name) for name in result["list"]}}
for source, where in (("github", repo), ("local", clone)):
    model = torch.hub.load(where, "x3d_xs", source=source, progress=False)
    empty = torch.hub.load(where, "x3d_xs", pretrained=False, num_classes=7, source=source)
    stages = torch.hub.load(where, "x3d_xs", False, source=source, features_only=True)
    own = torch.hub.load(where, "x3d_xs", weights={weights!r}, activation="softmax", source=source)
    shown = torch.hub.load(where, "motion_x3d", source=source)
    clip = torch.linspace(-1, 1, 3 * 4 * 182 * 182).reshape(1, 3, 4, 182, 182)
    with torch.inference_mode():
        logits, scores, few = model(clip), own(clip), empty(clip)
    state = own.state_dict()
    same = all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    result[source] = dict(
        name=model.entry.name, training=model.training, shape=list(logits.shape),
        stages=len(stages(clip)), sums=scores.sum().item(), few=list(few.shape), same=same,
        bias=state["blocks.5.proj.bias"].tolist(),
        shown=[shown.entry.name, list(shown(torch.zeros(1, 3, 8, 40, 40)).shape)],
    )
result["home"] = sys.modules["ptv_hub"].__file__
""",
        PTV_HUB_MIRROR=str(zoo),
        PTV_HUB_OFFLINE="1",
    )
    assert result["refused"] == REFUSED
    listed = (*entries(), *of_zoo("pytorchvideo"))
    shown = (*listed, *demonstrations())
    assert sorted(result["list"]) == sorted(item.name for item in shown)
    assert result["home"] == str(clone / "ptv_hub" / "__init__.py")
    expected = draw.state_dict("x3d_xs", layout="official")["blocks.5.proj.bias"].tolist()
    for source in ("github", "local"):
        found = result[source]
        assert (found["name"], found["training"]) == ("x3d_xs", False)
        assert (found["shape"], found["few"]) == ([1, 400], [1, 7])
        assert found["sums"] == pytest.approx(1)
        assert found["same"]
        assert found["stages"] > 1
        assert found["shown"] == ["motion_x3d", [1, 6]]
        assert found["bias"] == expected
    assert "trained for motion (6 classes)" in result["help"]["motion_x3d"]
    for item in listed:
        text = result["help"][item.name]
        assert f"{item.arch} {item.depth}, {item.frames}, trained for {item.dataset}" in text
        axis = "N" if item.head.takes_boxes else "B"
        assert f"logits ({axis}, {item.num_classes})" in text
        for figure in ("top1", "top5", "mean_average_precision"):
            value = getattr(item.published, figure)
            assert value is None or f" {value:.2f}" in text
        for value in item.published.printed:
            assert value is None or f" {value}" in text
        for name in (
            "pretrained",
            "progress",
            "weights",
            "num_classes",
            "activation",
            "features_only",
        ):
            assert f"{name} (" in text


def test_a_missing_dependency_is_named_by_torch_hub(site, clone, tmp_path):
    for link in site.iterdir():
        if not link.name.startswith("pydantic"):
            (tmp_path / link.name).symlink_to(link.resolve())
    result = run(
        clone,
        tmp_path,
        """
try:
    torch.hub.load(clone, "x3d_xs", source="local")
except RuntimeError as error:
    result["error"] = str(error)
""",
    )
    assert result["error"] == "Missing dependencies: pydantic"


def test_the_whole_road_from_a_url_then_offline(tmp_path, monkeypatch):
    """A manifest whose base is a local server, a clean cache, a bad connection; then offline."""
    monkeypatch.setenv("PTV_HUB_CACHE", str(tmp_path / "cache"))
    weights = draw.write("x3d_m", tmp_path / "X3D_M.pyth").read_bytes()
    with Server() as server:
        row = json.loads((ROOT / "manifests" / "kinetics400.json").read_text())
        row["base_url"] = f"{server.base}/zoo"
        row["labels"] = []
        row["entries"] = [e for e in row["entries"] if e["name"] == "x3d_m"]
        row["entries"][0]["name"] = "x3d_m_here"
        manifest = tmp_path / "manifest.json"
        manifest.write_text(json.dumps(row))
        monkeypatch.setenv("PTV_HUB_MANIFESTS", str(manifest))

        path = "/zoo/pysf_model_zoo/kinetics/X3D_M.pyth"
        server.files[path] = weights
        server.plan[path] = [Answer(status=503), Answer(close_after=5_000_000)]
        model = load("x3d_m_here", progress=False)
        assert server.sent() == len(weights)

    monkeypatch.setenv("PTV_HUB_OFFLINE", "1")
    again = load("x3d_m_here", progress=False)
    expected = draw.state_dict("x3d_m", layout="official")
    for loaded in (model, again):
        state = loaded.state_dict()
        assert state.keys() == expected.keys()
        assert all(state[key].equal(value) for key, value in expected.items())
        assert not loaded.training
    assert load(read_manifest(manifest)[0], progress=False).entry.name == "x3d_m_here"
    monkeypatch.setenv("PTV_HUB_CACHE", str(tmp_path / "another"))
    with pytest.raises(OfflineError):
        load("x3d_m_here", progress=False)
