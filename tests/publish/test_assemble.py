"""What making a repository ready costs: the file is opened once, and its record handed on."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import ptv_hub
from ptv_hub import files
from ptv_hub.models import builders, digest
from ptv_hub.publish import push
from ptv_hub.verification import cost, keys
from ptv_hub.weights import checkpoint
from ptv_hub.zoo import repository

PACKAGE = Path(ptv_hub.__file__).parent


@pytest.fixture
def calls(monkeypatch) -> Counter[tuple[str, str]]:
    """(function, what it was called with) -> how often, wherever in the package it is called."""
    import sys

    found: Counter[tuple[str, str]] = Counter()
    told = {
        checkpoint.read: lambda path, **_: Path(path).name,
        files.sha256_of: lambda path: Path(path).name,
        builders.build: lambda item, **_: item.name,
        digest.digest: lambda _: "",
    }

    def counting(function: Any, name: Any) -> Any:
        def counted(*args: Any, **kwargs: Any) -> Any:
            found[function.__name__, name(*args, **kwargs)] += 1
            return function(*args, **kwargs)

        return counted

    for function, name in told.items():
        replacement = counting(function, name)
        for module in [m for n, m in sys.modules.items() if n.startswith("ptv_hub.")]:
            for attribute, value in list(vars(module).items()):
                if value is function:
                    monkeypatch.setattr(module, attribute, replacement)
    # What is kept for the whole process counts as well.
    monkeypatch.setattr(cost, "COUNTED", {})
    for kept in (builders.shapes, keys.wanted):
        kept.cache_clear()
    return found


def test_a_file_is_read_hashed_and_built_once(drawn, tmp_path, calls):
    source = drawn("x3d_xs", seed=3)
    config = push.assemble(
        ptv_hub.entry("x3d_xs"), tmp_path, repo_id="org/name", weights=source, progress=False
    )
    assert calls["read", source.name] == 1
    assert calls["sha256_of", source.name] == 1
    assert config.provenance.sha256 == files.sha256_of(source)
    assert calls["sha256_of", "model.safetensors"] == 1
    # Of the source once, and four times by the checks that store the weights and read them back.
    assert calls["digest", ""] == 5
    # Those that have as many parameters, in either collection; all the others need no building.
    built = {name: count for (function, name), count in calls.items() if function == "build"}
    alike = {"x3d_xs", "x3d_s", "x3d_m"}
    assert built.keys() == alike | {f"{name}_native" for name in alike}
    assert sum(built.values()) <= 12, built


def test_the_chart_of_an_earlier_push_does_not_stay(tmp_path):
    path = tmp_path / repository.CHART_FILE
    chart = push._chart(ptv_hub.entry("x3d_xs"))
    push._write_chart(path, chart)
    assert path.read_bytes().startswith(b"\x89PNG")
    push._write_chart(path, None)
    assert list(tmp_path.iterdir()) == []
    push._write_chart(path, None)


def test_a_card_without_matplotlib_has_no_chart(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert push._chart(ptv_hub.entry("x3d_xs")) is None
    assert "the card has no chart: pip install 'ptv_hub[plot]'" in caplog.text
