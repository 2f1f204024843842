"""Devices by name: the same words everywhere."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from ptv_hub.engines.device import usable_device
from ptv_hub.errors import UsageError
from tests import ROOT


@pytest.mark.parametrize(
    ("cuda", "mps", "auto"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_auto_is_the_first_there_is_and_gpu_no_cpu(cuda, mps, auto, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(torch, "empty", lambda *size, device: None)
    assert usable_device("auto").type == auto
    if auto == "cpu":
        with pytest.raises(UsageError, match=r"no GPU(.|\n)*--device cpu"):
            usable_device("gpu")
    else:
        assert usable_device("gpu").type == auto


@pytest.mark.parametrize("name", ["cuda:99", "quantum", "meta", "ipu"])
def test_a_device_that_is_not_here_is_refused_in_words(name):
    with pytest.raises(UsageError, match=r"cannot be used(.|\n)*auto, gpu, cpu") as refused:
        usable_device(name)
    assert len(str(refused.value)) < 500
    assert usable_device(" CPU").type == "cpu"
    assert usable_device(torch.device("cpu")).type == "cpu"


def test_openvino_tells_nobody_what_it_is_used_for():
    pytest.importorskip("openvino")
    code = (
        "import sys, torch\n"
        "from ptv_hub.engines.untold import openvino\n"
        "from openvino.tools.ovc import telemetry_utils\n"
        "assert telemetry_utils.tm.__name__.endswith('telemetry_stub')\n"
        "assert not any(name.startswith('openvino_telemetry') for name in sys.modules)\n"
    ).replace("import openvino\n", "import openvino\nopenvino()\n")
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, check=True)


def test_eager_is_the_model_as_it_was_loaded():
    from ptv_hub.engines.machine import Machine, run_on
    from ptv_hub.fetching.hub import entry
    from ptv_hub.models.builders import build

    model = build(entry("x3d_xs")).eval()
    for backend in ("eager", None):
        assert run_on(model, Machine(device="cpu", backend=backend)) is model
    with pytest.raises(UsageError, match=r"no backend 'gpu'(.|\n)*eager, torch, compile"):
        run_on(model, Machine(device="cpu", backend="gpu"))
    with pytest.raises(UsageError, match="int8 is computed by OpenVINO"):
        run_on(model, Machine(device="cpu", backend="eager", dtype="int8"))
