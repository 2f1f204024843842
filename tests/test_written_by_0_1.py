"""What version 0.1 wrote is still read: ``data/written_by_0_1`` and what 0.1 read from it.

Nothing of that folder may be made anew by a later version; its README says what each file is.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import ptv_hub
from tests import DATA, GOLDEN
from tests.command import ptv_hub as ptv_hub_command

OLD = DATA / "written_by_0_1"
EXPECTED = json.loads((OLD / "expected.json").read_text())
DIGESTS = json.loads((OLD / "digests.json").read_text())["digests"]
TINY = "x3d_tiny_motion"


@pytest.fixture
def old(tmp_path, monkeypatch):
    """A copy of the folder, unpacked, as the working directory, with its manifests and cache."""
    copy = tmp_path / "old"
    shutil.copytree(OLD, copy)
    for packed in copy.rglob("*.gz"):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    (copy / "videos").symlink_to(GOLDEN / "videos")
    monkeypatch.chdir(copy)
    monkeypatch.setenv("PTV_HUB_MANIFESTS", "manifests")
    monkeypatch.setenv("PTV_HUB_CACHE", "cache")
    monkeypatch.setenv("PTV_HUB_OFFLINE", "1")
    return copy


def run(*arguments: object) -> tuple[int, str, str]:
    """``run("eval", ...)`` -> exit code, stdout, stderr."""
    done = ptv_hub_command(*arguments)
    return done.code, done.out, done.err


def agrees(found: object, expected: object) -> bool:
    """Whether all that version 0.1 wrote of a record is read; fields of later versions may join."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(
            key in found and agrees(found[key], value) for key, value in expected.items()
        )
    if isinstance(expected, list):
        return (
            isinstance(found, list | tuple)
            and len(found) == len(expected)
            and all(map(agrees, found, expected))
        )
    return found == expected


@pytest.mark.parametrize("name", list(EXPECTED["manifests"]))
def test_manifests(old, name):
    found = [item.model_dump(mode="json") for item in ptv_hub.read_manifest(f"manifests/{name}")]
    assert len(found) == len(EXPECTED["manifests"][name])
    for item, expected in zip(found, EXPECTED["manifests"][name], strict=True):
        assert agrees(item, expected), item["name"]


@pytest.mark.parametrize("name", list(EXPECTED["checkpoints"]))
def test_checkpoints(old, name):
    expected = EXPECTED["checkpoints"][name]
    found = ptv_hub.identify(f"checkpoints/{name}")
    for field in ("size", "sha256", "format", "layout", "container", "num_tensors", "digest"):
        assert getattr(found, field) == expected[field], field
    assert [one.name for one in found.candidates] == [TINY]
    model = ptv_hub.load(TINY, weights=f"checkpoints/{name}")
    assert scores(model) == pytest.approx(EXPECTED["logits"], abs=1e-4)


def scores(model: torch.nn.Module) -> list[float]:
    from ptv_hub.verification.goldens import drawn_clip

    spec = model.entry.input
    with torch.inference_mode():
        return model(drawn_clip(spec.num_frames, spec.crop_size))[0].tolist()


@pytest.mark.parametrize("name", list(EXPECTED["repositories"]))
def test_repositories(old, name):
    expected = EXPECTED["repositories"][name]
    item = ptv_hub.entry(f"local-dir:{name}")
    assert (item.name, list(item.labels)) == (expected["entry"], expected["labels"])
    assert item.artifacts[0].sha256 == expected["weights"]["sha256"]
    model = ptv_hub.load(f"local-dir:{name}")
    assert scores(model) == pytest.approx(expected["logits"], abs=1e-4)
    assert ptv_hub.digest(model.state_dict()) == expected["weights"]["digest"]


@pytest.mark.parametrize("name", list(EXPECTED["evaluation"]))
def test_journals_and_their_reports(old, name):
    expected = EXPECTED["evaluation"][name]
    listed = {i for journal in expected["journals"].values() for i in journal["listed"]}
    scored = {i for journal in expected["journals"].values() for i in journal["scored"]}
    code, out, err = run("eval", "--report", f"evaluation/{name}", "--json")
    assert code == 0, err
    result = json.loads(out)
    assert (result["counts"]["listed"], result["counts"]["scored"]) == (len(listed), len(scored))
    for field in ("metrics", "metrics_failures_wrong", "counts", "weights_digest", "videos_digest"):
        if field in expected:
            assert agrees(result[field], expected[field]), field


def test_a_killed_evaluation_goes_on_and_a_finished_one_scores_nothing_anew(old):
    command = ("eval", TINY, "--data", "evaluation/test.csv", "--videos", "videos")
    command += ("--weights", "checkpoints/pyslowfast.pyth", "--workers", "0", "--keep-views")
    for name in ("interrupted", "finished"):
        before = EXPECTED["evaluation"][name]["journals"]["journal-0.sqlite"]
        code, out, err = run(*command, "--out", f"evaluation/{name}", "--json")
        assert code == 0, err
        result = json.loads(out)
        assert result["counts"]["scored"] == 4
        with np.load(f"evaluation/{name}/scores.npz") as file:
            found = dict(zip(file["ids"].tolist(), file["scores"], strict=True))
        finished = EXPECTED["evaluation"]["finished"]
        for video, expected in zip(finished["ids"], finished["scores"], strict=True):
            assert found[video] == pytest.approx(np.array(expected), abs=1e-6)
            if video in before["scored"]:  # taken from the journal as it stands
                assert found[video].tolist() == expected


def test_a_run_is_loaded_and_a_killed_one_goes_on(old):
    for name in ("moves", "killed"):
        for file, expected in EXPECTED["training"][name]["files"].items():
            found = ptv_hub.identify(f"training/{name}/{file}")
            assert found.digest == expected["digest"]
        code, out, err = run("show", f"training/{name}/best.pyth", "--json")
        assert code == 0, err
        assert json.loads(out)["labels"] == expected["labels"]
    command = (TINY, "--data", "motion", "--weights", "checkpoints/pyslowfast.pyth")
    command += ("--num-classes", "auto", "--check", "none", "--no-flip", "--epochs", "2")
    command += ("--batch-size", "4", "--workers", "0", "-o", "training/killed", "--save-every", "0")
    code, out, err = run("finetune", *command, "--json")
    assert code == 0, err
    with open("training/killed/epochs.csv", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    expected = EXPECTED["training"]["moves"]["epochs.csv"]
    assert [row["epoch"] for row in found] == [row["epoch"] for row in expected]
    for one, other in zip(found, expected, strict=True):
        assert float(one["loss"]) == pytest.approx(float(other["loss"]), abs=1e-3)


def test_pins_and_the_cache(old, monkeypatch):
    from ptv_hub.fetching import cache

    expected = EXPECTED["cache"]
    assert sorted(cache.pins()) == sorted(expected["pins"])
    for key, pin in cache.pins().items():
        assert agrees(pin.model_dump(), expected["pins"][key])
    assert sorted(file.key for file in cache.cached_files()) == sorted(expected["files"])
    assert run("cache", "verify")[0] == 0
    model = ptv_hub.load(TINY)  # from the cache: there is no network
    assert scores(model) == pytest.approx(EXPECTED["logits"], abs=1e-4)
    key = next(key for key in expected["pins"] if key.endswith("X3D_TINY_MOTION.pyth"))
    changed = Path("cache", key)
    content = bytearray(changed.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    os.utime(changed, ns=(1, 1))
    assert run("cache", "verify")[0] != 0


@pytest.mark.parametrize("name", list(EXPECTED["locks"]))
def test_lock_files(old, name):
    """They bind what they name: the tiny model's bytes, and no model that they do not name."""
    assert run("--lock", f"locks/{name}", "fetch", TINY)[0] == 0
    named = any("C2D_8x8_R50" in address for address in EXPECTED["locks"][name])
    code, _, said = run("--lock", f"locks/{name}", "fetch", "c2d_r50")
    assert (code == 0) == named, said
    (address,) = (a for a in EXPECTED["locks"][name] if a.endswith("X3D_TINY_MOTION.pyth"))
    lock = old / "locks" / name
    sha256 = EXPECTED["locks"][name][address]["sha256"]
    lock.write_text(lock.read_text().replace(sha256, "0" * 64))
    code, _, said = run("--lock", lock, "fetch", TINY)
    assert code == 1
    assert "0" * 64 in said


def test_features_and_lists(old):
    from ptv_hub.datasets.reading import read_listing

    for name, expected in EXPECTED["features"].items():
        if name.endswith(".npz"):
            with np.load(name) as file:
                assert agrees({key: file[key].tolist() for key in file.files}, expected)
    assert len(read_listing(ptv_hub.entry(TINY), "lists/motion.csv", videos="videos").items) == 4


@pytest.mark.parametrize("name", ["x3d_tiny_motion.yaml", "x3d_xs_complete.yaml", "ssv2_slow.yaml"])
def test_configs(old, name):
    expected = {"x3d_tiny_motion.yaml": TINY, "x3d_xs_complete.yaml": "x3d_xs"}.get(
        name, "slow_r50_ssv2"
    )
    config, item = ptv_hub.from_config(f"configs/{name}"), ptv_hub.entry(expected)
    assert config.entry.builder == item.builder
    assert config.entry.num_classes == item.num_classes
    assert config.entry.protocol == item.protocol


@pytest.mark.parametrize("name", [TINY, "x3d_xs", "slow_r50"])
def test_drawn_weights_have_the_digests_of_then(old, drawn, name):
    for seed, expected in DIGESTS[name].items():
        assert ptv_hub.identify(drawn(name, seed=int(seed))).digest == expected
