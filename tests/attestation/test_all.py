"""The first day with all eighteen models and files of their real sizes, in a copy of the project.

Their clips are of 96 pixels, so that all this takes minutes; ``REHEARSAL=published`` takes the
sizes of the manifests, and some twenty minutes of a processor by estimate.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import shutil
import signal
import subprocess
import sys
import time
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
SIDE = None if os.environ.get("REHEARSAL") == "published" else 96


class Drawn(dict):
    """The files of both zoos by path, drawn when they are first asked for: 5 GB in all."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        folder.mkdir()
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
        file = self.folder / f"{name}-{artifact.zoo}"
        if not file.exists():
            draw_into(file, 200 + number, name, artifact)
        with file.open("rb") as opened:
            return mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)


def draw_into(file: Path, seed: int, name: str, artifact: Artifact) -> None:
    content = draw.checkpoint(name, seed, layout=artifact.layout, training=False)
    if name in (REFUSED, OTHER) and artifact.zoo == "official":
        next(iter(content["model_state"].values())).view(-1)[0] += 0.5
    part = file.with_name(f"{file.name}.{time.monotonic_ns()}")
    torch.save(content, part)
    part.rename(file)


def copy(folder: Path, base_url: str) -> Path:
    """A checkout whose manifests name the server, a hash of one file alone, and small clips."""
    for name in ("ptv_hub", "manifests", "tools", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "README.md", folder)
    for name in ("kinetics400", "ssv2", "charades"):
        path = folder / "manifests" / f"{name}.json"
        content = json.loads(path.read_text())
        content["base_url"] = base_url
        for row in content["entries"]:
            if SIDE is not None:
                sizes = {"short_side": SIDE, "crop_size": SIDE, "train_crop_size": SIDE - 32}
                row["input"] |= {**sizes, "train_jitter": [SIDE, SIDE]}
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
        server.files = Drawn(tmp_path / "served")
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
                assert bool(model.differing) == (model.name == OTHER)  # seen before the kill
                assert one.sha256 != two.sha256
