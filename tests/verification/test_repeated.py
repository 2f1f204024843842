"""The demonstration repeats what was published of it, video by video; a broken one does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ptv_hub
from ptv_hub.errors import ManifestError
from ptv_hub.verification.repeated import Said, check_repeated, kept
from ptv_hub.zoo.manifest import known, resolve
from tests.command import ptv_hub as command

MOTION = resolve("motion_x3d", known())


class Changed(nn.Module):
    """A model that sees its clips in another way; it gives scores, as ``evaluate`` takes them."""

    def __init__(self, model: Any, change: Any) -> None:
        super().__init__()
        self.model, self.entry, self.change = model, model.entry, change

    def forward(self, clip: Tensor) -> Tensor:
        scores: Tensor = self.model(self.change(clip)).softmax(1)
        return scores


def test_the_model_repeats_what_was_published(flipped):
    assert flipped(ptv_hub.load("motion_x3d")) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda clip: clip.flip(2),
        lambda clip: clip[:, :, [3, 0, 6, 1, 7, 4, 2, 5]],
        lambda clip: clip[:, :, [0] * 8],
        lambda clip: clip.flip(4),
    ],
    ids=["reversed", "shuffled", "one frame", "mirrored"],
)
def test_frames_in_a_wrong_order_or_place_flip_the_videos(flipped, change):
    """Mirrored, only left and right flip: a third of the videos, of those that were right."""
    model = Changed(ptv_hub.load("motion_x3d"), change).eval()
    assert len(flipped(model)) >= 12


def test_a_broken_quantization_flips_videos(flipped):
    """Weights of three bits, which is too few: the fixture tells a broken model from a good one."""
    model = ptv_hub.load("motion_x3d")
    with torch.no_grad():
        for tensor in model.parameters():
            if tensor.dim() > 1:
                step = tensor.abs().max() / 3
                tensor.copy_((tensor / step).round() * step)
    assert len(flipped(model)) >= 6


def test_verify_repeats_the_published_accuracy_and_says_what_the_model_is(tmp_path):
    out = ("--out", tmp_path / "run")
    done = command("verify", "motion_x3d", "--data", "drawn:60", *out, "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["caution"] == "demonstration, drawn data"
    assert report["claim"].startswith("demonstration, drawn data; ")
    checks = {check["name"]: check for check in report["checks"] if check["level"] == "accuracy"}
    assert checks["video by video"]["verdict"] == "holds"
    assert checks["video by video"]["found"] == "0 flipped"
    assert report["levels"]["accuracy"] == "holds"
    again = command("verify", "motion_x3d", "--data", "drawn:60", *out)
    assert "demonstration, drawn data" in again.out


def test_other_weights_are_named_by_the_videos_that_flipped(tmp_path):
    model = ptv_hub.load("motion_x3d")
    with torch.no_grad():
        model.blocks[-1].proj.bias[MOTION.labels.index("left")] += 100.0
    path = tmp_path / "left.pyth"
    torch.save({"model_state": model.state_dict()}, path)
    out = ("--out", tmp_path / "run")
    done = command("verify", "motion_x3d", "--weights", path, "--data", "drawn:12", *out, "--json")
    assert done.code == 3
    (check,) = (c for c in json.loads(done.out)["checks"] if c["name"] == "video by video")
    assert check["verdict"] == "fails"
    assert "right/0000.avi (right -> left)" in check["found"]


def test_two_videos_may_flip_and_three_may_not():
    before = {str(n): Said("", "in") for n in range(20)}
    for count, verdict in ((0, "holds"), (2, "holds"), (3, "fails"), (12, "fails")):
        now = {str(n): "out" if n < count else "in" for n in range(20)}
        check = check_repeated(before, now)
        assert (check.verdict, check.level) == (verdict, "accuracy")
        assert check.found is not None
        assert check.found.startswith(f"{count} flipped")
        assert ("; and 2 more" in check.found) == (count == 12)


def test_a_record_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "motion_x3d.csv").write_text("id,what\nleft/0000.avi,left\n")
    artifact = MOTION.artifacts[0].model_copy(update={"base_url": f"beside:{tmp_path}"})
    item = MOTION.model_copy(update={"artifacts": (artifact,)})
    with pytest.raises(ManifestError, match="frames_sha256"):
        kept(item)
    assert kept(known()[0]) == {}
