"""The first day with all eighteen models at their real sizes, in a copy of the project."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import lru_cache
from pathlib import Path

import pytest
import torch

from ptv_hub.attestation.records import read_attestation
from ptv_hub.zoo.entry import Artifact
from ptv_hub.zoo.manifest import entries
from tests import ROOT
from tests.server import Server
from tools import draw

REFUSED, MISSING, OTHER = "x3d_s", "i3d_r50", "c2d_r50"
"""Models whose official file was tampered with, is not there, or holds other tensors."""


class Drawn(dict):
    """The files of both zoos by path, drawn when they are asked for: 5 GB in all."""

    def __init__(self) -> None:
        super().__init__()
        self.homes = {
            f"/{artifact.path}": (number, item.name, artifact)
            for number, item in enumerate(entries())
            for artifact in item.artifacts
        }

    def get(self, path: str, default: object = None) -> object:
        if path not in self.homes:
            return default
        number, name, artifact = self.homes[path]
        if (name, artifact.zoo) == (MISSING, "official"):
            return default
        return body(number, name, artifact, name in (REFUSED, OTHER))


@lru_cache(maxsize=2)
def body(number: int, name: str, artifact: Artifact, tampered: bool) -> bytes:
    content = draw.checkpoint(name, 200 + number, layout=artifact.layout, training=False)
    if tampered and artifact.zoo == "official":
        next(iter(content["model_state"].values())).view(-1)[0] += 0.5
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def copy(folder: Path, base_url: str) -> Path:
    """A checkout whose manifests name the server, and a hash of one file alone."""
    for name in ("ptv_hub", "manifests", "tools", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "README.md", folder)
    for name in ("kinetics400", "ssv2", "charades"):
        path = folder / "manifests" / f"{name}.json"
        content = json.loads(path.read_text())
        content["base_url"] = base_url
        for row in content["entries"]:
            for artifact in row["artifacts"]:
                for fact in ("size", "sha256", "hash_source"):
                    artifact.pop(fact, None)
                if (row["name"], artifact["zoo"]) == (REFUSED, "official"):
                    artifact |= {"sha256": hashlib.sha256(b"").hexdigest(), "hash_source": "a log"}
        path.write_text(json.dumps(content))
    return folder


@pytest.mark.slow
def test_eighteen_models(tmp_path):
    with Server() as server:
        server.files = Drawn()
        root = copy(tmp_path / "project", server.base)
        out, cache = tmp_path / "attestation.json", tmp_path / "cache"
        env = {**os.environ, "PYTHONPATH": str(root), "PTV_HUB_CACHE": str(cache)}

        def ptv_hub(*words: object) -> subprocess.Popen:
            command = [sys.executable, "-m", "ptv_hub", *map(str, words)]
            return subprocess.Popen(
                command, env=env, cwd=tmp_path, stdout=subprocess.PIPE, text=True
            )

        words = ("attest", "--all", "--by", "A. Tester", "--yes", "--delete-after", "-o", out)
        first = ptv_hub(*words)
        while not out.exists():
            assert first.poll() is None
            time.sleep(0.5)
        first.send_signal(signal.SIGKILL)
        first.wait()
        begun = len(read_attestation(out).models)
        assert 1 <= begun < 18
        second = ptv_hub(*words)
        second.communicate()
        assert second.returncode == 3
        made = read_attestation(out)
        check(made.models)
        assert not list(cache.rglob("*.pyth"))
        merged = ptv_hub("attest", "--merge", out)
        changed, _ = merged.communicate()
        assert merged.returncode == 0
        assert len(changed.split()) == 5  # three manifests, the goldens, the README
        generated = [sys.executable, root / "tools" / "generate.py", "--check"]
        subprocess.run(generated, env=env, cwd=root, check=True)
        files = len(server.files.homes)
        told = f"of the {files} files of these 18 models are attested"
        assert told in (root / "README.md").read_text()
        verified = ptv_hub("verify", "x3d_xs", "--json")
        report = json.loads(verified.communicate()[0])
        verdicts = {check["name"]: check["verdict"] for check in report["checks"]}
        for name in ("sha256", "digest", "identity", "golden outputs", "drawn videos"):
            assert verdicts[name] == "holds"


def check(models):
    assert [model.name for model in models] == [item.name for item in entries()]
    for model in models:
        one, *others = model.files
        assert one.status == "brought"
        assert not one.failures, (model.name, one.failures)
        assert len(model.golden.videos) == 6
        for two in others:
            if model.name == REFUSED:
                assert two.status == "refused"
            elif model.name == MISSING:
                assert two.status == "not brought"
            else:
                assert (model.tensors_equal, two.failures) == (model.name != OTHER, ())
                assert one.sha256 != two.sha256
