"""What only a GPU shows: ``make test-gpu``. Left out by default, and skipped where there is none.

Never run so far: where this project is developed there is no GPU.
"""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

import ptv_hub
from ptv_hub.datasets import motion
from ptv_hub.engines.machine import Machine, run_on
from ptv_hub.engines.optimized import installed, optimize
from ptv_hub.errors import UsageError
from ptv_hub.evaluation.loop import evaluate
from ptv_hub.models.builders import VideoModel
from ptv_hub.training.engine import train
from ptv_hub.training.finetuning import finetuning
from ptv_hub.training.source import read_source
from ptv_hub.training.step import Step
from ptv_hub.verification.repeated import kept
from tests import GOLDEN, ROOT
from tools import draw

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use"),
]

FP32 = 1e-4
HALF = 1e-2
VIDEO = GOLDEN / "videos" / "wide_30fps_10s.mp4"
FORWARD = ROOT / "tests" / "data" / "forward.npz"


@pytest.fixture(autouse=True)
def _memory():
    yield
    torch.cuda.empty_cache()


def loaded(drawn, name: str) -> VideoModel:
    model = ptv_hub.load(name, weights=drawn(name, training=False))
    model.activation = model.entry.protocol.activation
    return model


def golden(model: VideoModel) -> np.ndarray:
    """PySlowFast's own scores of the drawn weights and clip."""
    return np.load(FORWARD)[f"{draw.config_key(model.entry)}/scores"]


def clip_of(model: VideoModel) -> torch.Tensor:
    return draw.clip(model.entry.input.num_frames, model.entry.input.crop_size).cuda()


# ---------------------------------------------------------------------------- numbers


@pytest.mark.parametrize("name", ptv_hub.list_models())
def test_every_model_gives_pyslowfasts_scores(drawn, name):
    model = run_on(loaded(drawn, name), Machine(device="cuda"))
    with torch.inference_mode():
        found = model(clip_of(model)).cpu().numpy()
    assert np.abs(found - golden(model)).max() <= FP32


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
@pytest.mark.parametrize("name", ptv_hub.list_models())
def test_every_model_in_half_the_bits(drawn, name, dtype):
    fast = run_on(loaded(drawn, name), Machine(device="cuda", backend="torch", dtype=dtype))
    found = fast(clip_of(fast)).cpu().numpy()
    assert 0 < np.abs(found - golden(fast)).max() <= HALF


@pytest.mark.parametrize("backend", ["torch", "compile", "auto"])
def test_backends_give_the_scores(drawn, backend):
    assert "openvino" not in installed("cuda")
    fast = run_on(loaded(drawn, "x3d_xs"), Machine(device="cuda", backend=backend))
    found = fast(clip_of(fast)).cpu().numpy()
    assert np.abs(found - golden(fast)).max() <= FP32


def test_what_is_not_for_gpus_is_refused_in_words(drawn):
    model = loaded(drawn, "x3d_xs").cuda()
    for backend in ("openvino", "torch"):
        with pytest.raises(UsageError, match=r"int8 is computed by OpenVINO on the CPU alone"):
            optimize(model, backend, dtype="int8")
    with pytest.raises(UsageError, match="OpenVINO runs on the CPU"):
        optimize(model, "openvino")


# ---------------------------------------------------------------------------- videos


def test_predictions_and_features_are_those_of_the_cpu(drawn):
    for name in ("x3d_xs", "slowfast_4x16_r50"):
        found = {}
        for device in ("cpu", "cuda"):
            model = loaded(drawn, name)
            said = ptv_hub.predict(model, VIDEO, views="2x3", device=device, batch_views=4)
            vectors = ptv_hub.features(model, VIDEO, window="2s", stride="2s").values
            found[device] = [one.score for one in said.predictions], torch.as_tensor(vectors)
        np.testing.assert_allclose(found["cuda"][0], found["cpu"][0], atol=FP32)
        scale = found["cpu"][1].abs().max()
        assert (found["cuda"][1].cpu() - found["cpu"][1]).abs().max() <= 1e-3 * scale


@pytest.mark.parametrize("preprocess", ["host", "device"])
@pytest.mark.parametrize("workers", [0, 2])
def test_an_evaluation_says_of_each_video_what_was_published(
    held_out, tmp_path, preprocess, workers
):
    model = run_on(ptv_hub.load("motion_x3d"), Machine(device="cuda"))
    said, listing = kept(model.entry), held_out(60)
    evaluate(model, listing, out=tmp_path, preprocess=preprocess, workers=workers, batch_views=8)
    with np.load(tmp_path / "scores.npz") as file:
        pairs = zip(file["ids"], file["scores"].argmax(axis=1), strict=True)
        flipped = [i for i, best in pairs if said[str(i)].predicted != motion.CLASSES[best]]
    assert len(flipped) <= 2


def test_videos_decoded_on_the_gpu_are_nearly_those_of_the_cpu(drawn, tmp_path):
    pytest.importorskip("torchcodec", reason="pip install 'ptv_hub[nvdec]'")
    model = run_on(loaded(drawn, "x3d_xs"), Machine(device="cuda"))
    found = {}
    for place in ("device", "nvdec"):
        result = evaluate(model, [(str(VIDEO), 0)], out=tmp_path / place, preprocess=place)
        assert result.counts.failed == 0, result.failures
        found[place] = np.load(tmp_path / place / "scores.npz")["scores"]
    assert 0 < np.abs(found["device"] - found["nvdec"]).max() <= HALF


# ---------------------------------------------------------------------------- training


@pytest.fixture
def data(tmp_path):
    motion.write_all(tmp_path / "data", train=4, val=1)
    return tmp_path / "data"


def command(data, out, *more: str) -> list[str]:
    words = f"finetune motion_x3d --data {data} -o {out} --batch-size 4 --workers 0 --check none"
    return [*words.split(), "--device", "cuda", *more]


def trained(data, out, device: str = "cuda", **options):
    """Two epochs in mixed precision, from no weights."""
    keys = {"SOLVER.MAX_EPOCH": 2, "TRAIN.BATCH_SIZE": 4, "TRAIN.MIXED_PRECISION": True}
    opts = [word for pair in {**keys, "DATA_LOADER.NUM_WORKERS": 0}.items() for word in pair]
    config = finetuning(ptv_hub.entry("motion_x3d"), output=str(out), opts=opts)
    source = read_source(config.entry, data)
    return train(config, source, device=device, check="none", save_every_s=0, **options)


def test_training_with_mixed_precision_and_its_scaler_goes_on_where_it_was(data, tmp_path):
    class Ended(Exception):
        pass

    def end(now):
        if now.kind == "step" and now.epoch == 1:
            raise Ended

    with pytest.raises(Ended):
        trained(data, tmp_path / "run", report=end)
    before = torch.load(tmp_path / "run" / "last.pyth", weights_only=True, map_location="cpu")
    assert before["scaler_state"]["scale"] > 0
    result = trained(data, tmp_path / "run")
    after = torch.load(tmp_path / "run" / "last.pyth", weights_only=True, map_location="cpu")
    assert result.epochs == 2
    assert after["scaler_state"]["scale"] > 0
    assert all(torch.isfinite(one.float()).all() for one in after["model_state"].values())
    assert any(
        not torch.equal(one, before["model_state"][key])
        for key, one in after["model_state"].items()
    )


@pytest.mark.parametrize("half", [False, True])
def test_a_training_step_waits_for_nothing(data, tmp_path, monkeypatch, half):
    """But for the scaler of half precision, which is torch's."""
    step, run = Step.__call__, []

    def watched(self, *arguments):
        torch.cuda.set_sync_debug_mode("default" if half else "error")
        try:
            return step(self, *arguments)
        finally:
            torch.cuda.set_sync_debug_mode("default")
            run.append(arguments)

    monkeypatch.setattr(Step, "__call__", watched)
    keys = ["SOLVER.MAX_EPOCH", 1, "TRAIN.BATCH_SIZE", 4, "SOLVER.CLIP_GRAD_L2NORM", 1.0]
    keys += ["TRAIN.MIXED_PRECISION", half, "DATA_LOADER.NUM_WORKERS", 0]
    config = finetuning(ptv_hub.entry("motion_x3d"), output=str(tmp_path / "run"), opts=keys)
    source = read_source(config.entry, data)
    result = train(config, source, device="cuda", check="none")
    assert len(run) == result.steps > 0


def test_one_process_of_nccl(data, tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "1"]
    done = subprocess.run(
        [*launcher, "-m", "ptv_hub", *command(data, tmp_path / "run", "--epochs", "1")],
        cwd=ROOT,
        env={**os.environ, "TORCH_NCCL_BLOCKING_WAIT": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "last.pyth").is_file()
