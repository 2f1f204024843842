"""Features of a collection on a Ray cluster: the extractor as a class of ``map_batches``.

    python examples/ray_features.py x3d_m videos/ features/ --window 32 --stride 16 --actors 2

An actor holds a model and takes a video at a time; Ray Data shares the videos out, over as many
machines as the cluster has (all have to see the videos and the output folder). A file a video is
written beside the rows that come back; one that is there is not made again, and other settings in
the same folder are refused. (A video that was replaced under its name is not noticed: the command
``ptv-hub features`` keeps a journal, and does.) Ray sends no usage statistics: they are switched
off below, before it is imported.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"


class FeatureExtractor:
    """One model in one process; called with a batch of video names."""

    def __init__(self, name: str, out: str, options: dict[str, Any], weights: str | None) -> None:
        import torch

        import ptv_hub

        torch.set_num_threads(max(1, int(options.pop("threads", 1))))
        self.model = ptv_hub.load(name, weights=weights)
        self.out, self.options = Path(out), options

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        pairs = zip(batch["video"], batch["name"], strict=True)
        rows = [self.one(str(video), str(name)) for video, name in pairs]
        return {key: [row[key] for row in rows] for key in rows[0]}

    def one(self, video: str, name: str) -> dict[str, Any]:
        """Write the features of a video, and say how many rows they have, or why there are none."""
        import numpy as np

        from ptv_hub import PtvHubError, features
        from ptv_hub.inference.feature_files import save_features

        path = self.out / f"{name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            if not path.exists():  # files appear whole or not at all
                save_features(features(self.model, video, **self.options), path)
            with np.load(path) as file:
                rows = len(file["start"])
        except PtvHubError as error:
            return {"video": video, "file": "", "rows": 0, "error": str(error)}
        return {"video": video, "file": str(path), "rows": rows, "error": ""}


def extract(
    name: str,
    words: list[str],
    out: str,
    options: dict[str, Any],
    *,
    weights: str | None = None,
    actors: int = 2,
) -> list[dict[str, Any]]:
    """A row for each video: ``video``, ``file``, ``rows`` and ``error``.

    Raises:
        UsageError: the folder holds what other settings gave.
    """
    import ray

    from ptv_hub.inference.finding import find, named

    keep_settings(Path(out), {"model": name, "weights": _content(weights), **options})
    videos = named([one for word in words for one in find(word)])
    listed = [
        {"video": one.source, "name": key}
        for key, one in videos.items()
        if isinstance(one.source, str)
    ]
    found = ray.data.from_items(listed).map_batches(
        FeatureExtractor,
        fn_constructor_args=(name, out, options, weights),
        batch_size=1,
        concurrency=actors,
        num_cpus=1,
    )
    return [dict(row) for row in found.take_all()]


def keep_settings(out: Path, settings: dict[str, Any]) -> None:
    """Write them into a new folder; of one that is there they have to be the same."""
    from ptv_hub.errors import UsageError
    from ptv_hub.files import ready_folder, write_text

    path, told = out / "_settings.json", json.dumps(settings, sort_keys=True)
    ready_folder(out)
    if not path.exists():
        write_text(path, told)
    elif path.read_text() != told:
        raise UsageError(
            "the folder holds what other settings gave",
            where=out,
            expected=path.read_text(),
            found=told,
            fix="give the same again to go on, or another folder",
        )


def _content(weights: str | None) -> str | None:
    from ptv_hub.files import sha256_of

    return None if weights is None else sha256_of(weights)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("videos", nargs="+")
    parser.add_argument("out")
    parser.add_argument("--window", default=None)
    parser.add_argument("--stride", default=None)
    parser.add_argument("--fps", type=float, default=None)
    parser.add_argument("--weights", default=None)
    parser.add_argument("--actors", type=int, default=2)
    args = parser.parse_args()
    options = {"window": args.window, "stride": args.stride, "fps": args.fps}
    rows = extract(
        args.name, args.videos, args.out, options, weights=args.weights, actors=args.actors
    )
    for row in rows:
        print(row["error"] or f"{row['rows']:6} rows  {row['file']}")
    sys.exit(any(row["error"] for row in rows))


if __name__ == "__main__":
    main()
