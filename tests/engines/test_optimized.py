"""Faster models give the same scores, and are taken for nothing else."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import ptv_hub
from ptv_hub.engines.folding import FusedConv, Residual, fold
from ptv_hub.engines.optimized import installed, optimize
from ptv_hub.errors import MissingExtra, UnknownName, UsageError, WrongInput
from ptv_hub.fetching.hub import entry
from ptv_hub.models.builders import VideoModel, build
from ptv_hub.weights import layouts
from ptv_hub.weights.load import load
from ptv_hub.zoo.manifest import entries
from ptv_hub.zoo.pyslowfast import Config, Paths, to_yaml
from ptv_hub.zoo.recipe import recipe_of
from tests import ROOT
from tools import draw

GOLDEN = ROOT / "tests" / "data" / "forward.npz"

FP32 = 1e-6
"""Folding in float64 and other summation orders: 1e-7 was seen; a wrong layer gives 1e-3."""


def drawn(name: str, **changes: object) -> VideoModel:
    item = entry(name)
    model = build(item, activation=item.protocol.activation, **changes)  # type: ignore[arg-type]
    model.load_state_dict(draw.state_dict(name, layout=layouts.OFFICIAL))
    return model.eval()


@pytest.fixture(scope="module")
def model() -> VideoModel:
    return drawn("x3d_xs")


@pytest.fixture(scope="module")
def small() -> VideoModel:
    """The trained one that comes along: a pass of it is a hundredth of X3D_XS's."""
    return ptv_hub.load("motion_x3d", activation="softmax")


@pytest.fixture(scope="module")
def golden() -> np.ndarray:
    return np.load(GOLDEN)["Kinetics/X3D_XS/scores"]


@pytest.fixture
def clip() -> torch.Tensor:
    spec = entry("x3d_xs").input
    return draw.clip(spec.num_frames, spec.crop_size)


# Those of the other data sets are the same networks with other heads.
KINETICS = [item for item in entries() if item.dataset == "kinetics400"]


@pytest.mark.parametrize("item", KINETICS, ids=lambda item: item.name)
def test_every_batch_norm_finds_its_convolution(item):
    model = build(item, device="meta").eval()
    norms = sum(isinstance(module, nn.BatchNorm3d) for module in model.modules())
    blocks = sum(type(module).__name__ == "ResBlock" for module in model.modules())
    net, count = fold(model)
    assert count == norms > 0
    assert not any(isinstance(module, nn.BatchNorm3d) for module in net.modules())
    assert sum(isinstance(module, Residual) for module in net.modules()) == blocks > 0


def test_scores_are_pyslowfasts(model, clip, golden):
    fast = optimize(model)
    assert np.abs(fast(clip).numpy() - golden).max() <= FP32


def test_the_model_it_came_from_is_left_as_it_was(model, clip):
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    with torch.inference_mode():
        wanted = model(clip)
        optimize(model)(clip)
        assert torch.equal(model(clip), wanted)
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_input_is_left_as_it_was(model, clip):
    before = clip.clone()
    optimize(model)(clip)
    assert torch.equal(clip, before)


def test_two_pathways_and_another_activation():
    name = "SLOWFAST_4x16_R50"
    model = drawn(name)
    clip = torch.randn(1, 3, 32, 193, 193, generator=torch.Generator().manual_seed(1))
    fast = optimize(model)
    with torch.inference_mode():
        wanted = model(clip)
        scores = fast(clip)
        assert (scores - wanted).abs().max() <= FP32
        fast.activation = None
        logits = fast(list(model.pathways(clip)))  # of one position: a mean of one
        assert torch.allclose(logits.softmax(dim=1), scores, rtol=0, atol=FP32)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["x3d_m", "c2d_r50", "i3d_r50", "slow_r50", "slowfast_r50", "r2plus1d_r50", "csn_r101"],
)
@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_scores_of_every_architecture(name, backend, tmp_path, monkeypatch):
    if backend == "openvino":
        pytest.importorskip("openvino")
    monkeypatch.setenv("PTV_HUB_CACHE", str(tmp_path))
    item = entry(name)
    fast = optimize(drawn(name), backend)
    clip = draw.clip(item.input.num_frames, item.input.crop_size)
    wanted = np.load(GOLDEN)[f"{draw.config_key(item)}/scores"]
    limit = FP32 if backend == "torch" else 5e-6
    assert np.abs(fast(clip).numpy() - wanted).max() <= limit


def test_bf16_is_near_and_says_what_it_is(model, clip, golden):
    fast = optimize(model, dtype="bf16")
    scores = fast(clip)
    assert scores.dtype is torch.float32
    assert fast.dtype == "bf16"
    difference = np.abs(scores.numpy() - golden).max()
    assert 0 < difference <= 1e-2
    assert scores.argmax() == golden.argmax()  # by a margin of 0.06


def test_openvino_scores(model, clip, golden, tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setenv("PTV_HUB_CACHE", str(tmp_path))
    assert np.abs(optimize(model, "openvino")(clip).numpy() - golden).max() <= 5e-6


def test_openvino_reads_its_cache_and_makes_what_is_damaged_anew(small, tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setenv("PTV_HUB_CACHE", str(tmp_path))
    clip = draw.clip(8, 40)
    first = optimize(small, "openvino")(clip)
    assert (first - small(clip)).abs().max() <= 5e-6
    (program,) = tmp_path.glob("openvino-*.blob")
    again = optimize(small, "openvino")
    with monkeypatch.context() as patch:
        patch.setattr(torch.jit, "trace", None)
        assert torch.equal(again(clip), first), "from the cache, nothing is traced"
    program.write_bytes(b"damaged")
    assert torch.equal(optimize(small, "openvino")(clip), first)


def test_openvino_that_is_not_installed_is_an_extra(model, monkeypatch):
    monkeypatch.setattr("ptv_hub.engines.optimized.find_spec", lambda name: None)
    assert "openvino" not in installed()
    with pytest.raises(MissingExtra, match="openvino"):
        optimize(model, "openvino")


def test_auto_takes_the_fastest_that_is_equal_and_says_so(small, monkeypatch):
    from ptv_hub.engines import optimized

    class Wrong:
        def __init__(self, made):
            pass

        def __call__(self, pathways):
            return torch.zeros(1, 6)  # fast, and not the model's scores

    def broken(made):
        raise RuntimeError("no compiler")

    table = {"torch": optimized.BACKENDS["torch"], "wrong": Wrong, "broken": broken}
    monkeypatch.setattr(optimized, "BACKENDS", table)
    monkeypatch.setattr(optimized, "installed", lambda device: tuple(table))
    fast = optimize(small, "auto")
    assert fast.backend == "torch"
    assert [(t.backend, t.equal) for t in fast.trials] == [
        ("torch", True),
        ("wrong", False),
        ("broken", False),
    ]
    assert "no compiler" in fast.trials[2].error


def test_auto_takes_bf16_only_when_asked_and_where_it_is_computed(small, monkeypatch):
    from ptv_hub.engines import optimized

    monkeypatch.setattr(optimized, "installed", lambda device: ("torch",))

    def tried(has_bf16: bool, **asked: float) -> list[str]:
        monkeypatch.setattr(optimized, "computes_bf16", lambda device: has_bf16)
        made = optimize(small, "auto", **asked)
        assert made.dtype in {trial.dtype for trial in made.trials if trial.equal}
        return [trial.dtype for trial in made.trials]

    assert tried(True) == ["fp32"]
    assert tried(True, within=5e-3) == ["fp32"]
    assert tried(False, within=1e-2) == ["fp32"]
    assert tried(True, within=1e-2) == ["fp32", "bf16"]


def test_it_is_never_saved_or_trained(model, tmp_path):
    fast = optimize(model)
    for act in (fast.state_dict, fast.train, lambda: fast.load_state_dict({})):
        with pytest.raises(UsageError):
            act()
    with pytest.raises(UsageError):
        torch.save(fast, tmp_path / "model.pt")
    with pytest.raises(UsageError):
        copy.deepcopy(fast)
    assert not fast.eval().training


def test_what_it_carries(model):
    from ptv_hub.models.digest import digest

    fast = optimize(model)
    assert fast.entry is model.entry
    assert fast.activation == "softmax"
    assert fast.weights_digest == digest(model.state_dict())
    assert next(fast.parameters()).device.type == "cpu"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"backend": "tensorrt"}, UnknownName),
        ({"dtype": "int4"}, UnknownName),
        ({"dtype": "int8"}, UsageError),
        ({"dtype": "fp16"}, UsageError),
        ({"backend": "auto", "dtype": "bf16"}, UsageError),
    ],
)
def test_what_is_not_there(model, change, error):
    with pytest.raises(error):
        optimize(model, **change)


def test_what_cannot_be_optimized(model):
    with pytest.raises(WrongInput):
        optimize(nn.Identity())  # type: ignore[arg-type]
    training = build(entry("x3d_xs"), device="meta")
    with pytest.raises(UsageError, match="training"):
        optimize(training)


def test_what_load_returns_is_made_faster(tmp_path, clip, golden):
    path = draw.write("x3d_xs", tmp_path / "x3d_xs.pyth")
    fast = ptv_hub.optimize(load("x3d_xs", weights=path, activation="softmax"))
    assert fast.backend == "torch"
    assert np.abs(fast(clip).numpy() - golden).max() <= FP32
    embedding = ptv_hub.optimize(load("x3d_xs", weights=path, num_classes=0))(clip)
    assert embedding.shape == (1, 2048)
    with pytest.raises(WrongInput, match="StageModel"):
        ptv_hub.optimize(load("x3d_xs", weights=path, features_only=True))  # type: ignore[arg-type]


def test_moving_a_model_drops_what_was_packed_for_the_processor(model, clip):
    fast = optimize(model)
    wanted = fast(clip)
    fast.to("cpu")
    assert torch.equal(fast(clip), wanted)
    (conv, *_) = (m for m in fast.modules() if isinstance(m, FusedConv))
    conv.to("meta")
    assert conv._packed is None


def _python(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_no_call_puts_packed_weights_in_order_again(tmp_path):
    """oneDNN itself says what it runs: after the first call, of each shape, no reorder."""
    program = """
import sys, torch, ptv_hub
from ptv_hub.weights.load import load
model = ptv_hub.optimize(load(ptv_hub.entry("x3d_xs"), pretrained=False))
clips = [torch.randn(batch, 3, 4, 182, 182) for batch in (3, 1)]
for turn in range(2):
    for clip in clips:
        print(f"turn {turn}", flush=True)
        model(clip)
"""
    environment = {**os.environ, "ONEDNN_VERBOSE": "1", "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    first, again = done.stdout.split("turn 1", 1)
    assert "exec,cpu,reorder" in first
    assert "exec,cpu,convolution" in again
    assert "exec,cpu,reorder" not in again


def test_packed_weights_of_two_shapes_are_kept(small):
    fast = optimize(small)
    conv = next(m for m in fast.modules() if isinstance(m, FusedConv))
    for batch in (3, 1, 2, 2):
        clip = torch.randn(batch, 3, 8, 40, 40, generator=torch.Generator().manual_seed(batch))
        assert torch.allclose(fast(clip), small(clip), atol=1e-4)
        assert len(conv._packed) <= 2
    assert [shape[0] for shape in conv._packed] == [1, 2]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's setting")
def test_memory_is_kept_only_when_asked():
    _python(
        "import ctypes, ptv_hub.engines.memory as b\n"
        "libc = ctypes.CDLL(None); libc.malloc.restype = ctypes.c_void_p\n"
        "def held():\n"
        "    block = ctypes.c_void_p(libc.malloc(256 << 20))\n"
        "    libc.memset(block, 1, 256 << 20); libc.free(block)\n"
        "    line = next(l for l in open('/proc/self/status') if l.startswith('VmRSS'))\n"
        "    return int(line.split()[1]) >> 10\n"
        "before = held()\n"
        "assert b.keep_freed_memory()\n"
        "assert held() - before >= 200, 'MB'\n"
    )


def test_models_are_built_without_torchvision_and_detection_heads_still_work():
    _python(
        "import sys\n"
        "from ptv_hub.models.builders import build\n"
        "from ptv_hub.fetching.hub import entry\n"
        "build(entry('slowfast_r50'), device='meta')\n"
        "assert 'torchvision' not in sys.modules and 'torch._dynamo' not in sys.modules\n"
        "assert not any(type(f).__name__ == '_Finder' for f in sys.meta_path)\n"
        "import pytorchvideo.models.head as head\n"
        "from torchvision.ops import RoIAlign\n"
        "made = head.create_res_roi_pooling_head(in_features=4, out_features=2,\n"
        "    resolution=(7, 7), spatial_scale=0.1, pool_kernel_size=(1, 1, 1))\n"
        "assert isinstance(made.roi_layer, RoIAlign)\n"
    )


@pytest.mark.parametrize("name", ["x3d_xs", "SLOWFAST_4x16_R50", "csn_r101"])
def test_a_hollow_model_is_the_whole_one_without_its_numbers(name):
    hollow = build(entry(name), device="meta").state_dict()
    whole = build(entry(name)).state_dict()
    assert {k: (t.shape, t.dtype) for k, t in hollow.items()} == {
        k: (t.shape, t.dtype) for k, t in whole.items()
    }
    assert {tensor.device.type for tensor in hollow.values()} == {"meta"}


@pytest.mark.slow
@pytest.mark.parametrize("by", ["name", "config"])
def test_bench_measures_each_backend_and_their_difference(by, tmp_path):
    asked = ["x3d_xs"]
    if by == "config":
        config = tmp_path / "X3D_XS.yaml"
        item = entry("x3d_xs")
        recipe = recipe_of(item)
        assert recipe is not None
        config.write_text(to_yaml(Config(entry=item, recipe=recipe, paths=Paths())))
        asked = ["--config", str(config), "MODEL.NUM_CLASSES", "7"]
    done = subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-m", "ptv_hub", "bench", *asked, "--json"),
            *("--calls", "2", "--batch-views", "1", "--backend", "eager", "--backend", "torch"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    eager, fast = json.loads(done.stdout)["rows"]
    assert (eager["backend"], fast["backend"]) == ("eager", "torch")
    assert eager["difference"] == 0 < fast["difference"] <= FP32
    assert fast["views_per_second"] > 0


@pytest.mark.parametrize("name", ["efficient_x3d_s", "mvit_base_16x4"])
def test_other_kinds_of_networks_are_folded_to_the_same_function(name):
    torch.manual_seed(0)
    item = entry(name)
    sizes = {"short_side": 64, "crop_size": 64, "train_crop_size": 64}
    model = build(item.model_copy(update={"input": item.input.model_copy(update=sizes)})).eval()
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.data.add_(0.1 * torch.randn(parameter.shape))
    model.get_submodule(model.classifier).weight.data.mul_(30)
    clip = torch.randn(1, 3, item.input.num_frames, 64, 64)
    with torch.inference_mode():
        wanted = model(clip)
        found = optimize(model, "torch")(clip)
    assert float(wanted.std()) > 0.1
    assert float((found - wanted).abs().max()) < 1e-4
