"""Level ``numbers``, from a video file on: videos that are drawn alike on every machine."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from ptv_hub.datasets import drawn
from ptv_hub.inference.predict import score_video
from ptv_hub.inference.video import open_video
from ptv_hub.models.builders import VideoModel
from ptv_hub.verification import goldens
from ptv_hub.verification.goldens import DrawnVideo
from ptv_hub.verification.records import Check
from ptv_hub.zoo.manifest import find

VIDEOS = "drawn:6"
"""The first of the held-out drawn videos, one of each motion."""
TOLERANCE = 1e-4
"""Largest difference of a score; as of ``numbers``, and resizing frames adds no more."""


def drawn_videos(model: VideoModel) -> tuple[DrawnVideo, ...]:
    """The scores of one clip and crop of each of the drawn videos.

    Raises:
        WriteError: the cache folder, where they are drawn, cannot be written.
    """
    protocol = model.entry.protocol.model_copy(update={"num_clips": 1, "num_crops": 1})
    found = []
    for video in drawn.listing(VIDEOS, find("motion_x3d")).items:
        scores = score_video(model, str(video.video), protocol).scores[0]
        sha256 = decoded_sha256(str(video.video))
        found.append(DrawnVideo(id=video.id, frames_sha256=sha256, scores=tuple(scores.tolist())))
    return tuple(found)


def decoded_sha256(path: str) -> str:
    """Over all frames of a video as they are decoded, RGB of uint8, (T, H, W, 3)."""
    with open_video(path) as video:
        frames = [frame for _, frame in video.frames(range(len(video.timestamps.pts)))]
    return hashlib.sha256(np.stack(frames).tobytes()).hexdigest()


def check_drawn_videos(model: VideoModel, digest: str) -> list[Check]:
    """Whether drawn videos get the scores that are known of these weights; nothing if none are."""
    golden = goldens.shipped().get(digest)
    if golden is None or not golden.videos:
        return []
    here = {video.id: video for video in drawn_videos(model)}
    known = [video for video in golden.videos if video.id in here]
    pairs = [(here[video.id], video) for video in known]
    frames = all(mine.frames_sha256 == theirs.frames_sha256 for mine, theirs in pairs)
    off = max(
        float((torch.tensor(mine.scores) - torch.tensor(theirs.scores)).abs().max())
        for mine, theirs in pairs
    )
    decoded = "decoded alike" if frames else "other frames"
    return [
        Check(
            level="numbers",
            name="drawn videos",
            verdict="holds" if frames and off <= TOLERANCE else "fails",
            expected=golden.computed_by,
            found=f"{len(pairs)} videos {decoded}, scores within {off:.1e}",
            note=f"{golden.weights}; tolerance {TOLERANCE:g}",
        )
    ]
