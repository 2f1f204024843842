"""docs/habits.md as its readers would run it."""

from __future__ import annotations

import re

import torch

from ptv_hub.datasets import motion
from tests import ROOT


def blocks(section: str) -> list[str]:
    """The Python blocks under a heading of the page."""
    text = (ROOT / "docs" / "habits.md").read_text(encoding="utf-8")
    (part,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    return re.findall(r"```python\n(.*?)```", part, re.DOTALL)


def test_the_page_runs(tmp_path, monkeypatch):
    motion.write_all(tmp_path / "motion", train=2, val=1)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)  # of the clips, their order, and the new classifier
    names: dict[str, object] = {}
    headings = ("timm", "torchvision", "Lightning, and plain loops", "Hugging Face")
    sections = [blocks(name) for name in headings]
    assert [len(found) for found in sections] == [2, 1, 1, 1]
    for block in (one for found in sections for one in found):
        # The workers of the page's loader are forked: what it holds need not be importable.
        exec(compile(block, "docs/habits.md", "exec"), names)
    assert 0 < names["loss"] < 3  # of six classes
