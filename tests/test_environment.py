"""What results say of the machine they were made on."""

from __future__ import annotations

import platform

import torch

from ptv_hub import environment
from ptv_hub._version import __version__


def test_versions_are_named_and_what_is_missing_is_said():
    found = environment.versions("torch", "no-such-package")
    assert list(found) == ["ptv_hub", "torch", "no-such-package"]
    assert found["ptv_hub"] == __version__
    assert found["torch"] == torch.__version__  # with the CUDA that it was built for
    assert found["no-such-package"] == "not installed"


def test_the_machine():
    assert environment.system()["python"] == platform.python_version()
    assert environment.threads() == torch.get_num_threads()
    assert environment.device_name(torch.device("cpu")) == f"cpu ({platform.machine()})"
