"""A small zoo of drawn files, in both layouts, behind a local server: the first day, rehearsed."""

from __future__ import annotations

import hashlib
import io
import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from tests import ROOT
from tests.server import Server
from tools import draw

NAMES = ("tiny_equal", "tiny_refused", "tiny_missing", "tiny_other")
BY = "A. Tester <tester@example.org>"
README = "# A zoo\n\n<!-- what was not run: generated -->\n<!-- end of what was not run -->\n"


def path_of(name: str, zoo: str) -> str:
    return f"/{zoo}/{name.upper()}.pyth"


def manifest(base_url: str) -> dict[str, Any]:
    """Four models of 0.15 million parameters, with both zoos' files at an address."""
    demo = json.loads((ROOT / "manifests" / "demo.json").read_text())
    (row,) = demo["entries"]
    row = {key: value for key, value in row.items() if key not in ("digest", "num_params")}
    rows = []
    for number, name in enumerate(NAMES):
        files = [
            {"zoo": zoo, "layout": zoo, "path": path_of(name, zoo)[1:]}
            for zoo in ("pyslowfast", "official")
        ]
        made = deepcopy(row) | {"name": name, "zoo_name": name.upper(), "artifacts": files}
        # Else they would be one model by four names.
        made["input"] = made["input"] | {"sampling_rate": 1 + number}
        rows.append(made | {"config": f"Tiny/{name.upper()}"})
    top = {key: demo[key] for key in ("schema_version", "dataset", "title", "labels", "license")}
    return {**top, "base_url": base_url, "source": "a test", "entries": rows}


def project(folder: Path, base_url: str) -> Path:
    """A checkout with these models; returns its manifest."""
    path = folder / "manifests" / "tiny.json"
    (folder / "ptv_hub" / "verification").mkdir(parents=True)
    path.parent.mkdir()
    path.write_text(json.dumps(manifest(base_url)))
    (folder / "README.md").write_text(README)
    return path


def checkpoint(name: str, layout: str, *, moved: str | None = None) -> bytes:
    """Drawn weights; a seed for each name. ``moved``: a key of which one number is another."""
    content = draw.checkpoint(name, 100 + NAMES.index(name), layout=layout, training=False)
    if moved is not None:
        content["model_state"][moved].view(-1)[0] += 0.5  # type: ignore[index]
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def serve(server: Server, path: Path) -> None:
    """The files; one was tampered with since its hash was published, one is missing, of one the
    zoos hold other tensors. The manifest gets that hash."""
    for name in NAMES:
        for zoo in ("pyslowfast", "official"):
            server.files[path_of(name, zoo)] = checkpoint(name, zoo)
    refused, official = NAMES[1], path_of(NAMES[1], "official")
    content = json.loads(path.read_text())
    was = server.files[official]
    content["entries"][1]["artifacts"][1] |= {
        "size": len(was),
        "sha256": hashlib.sha256(was).hexdigest(),
        "hash_source": "read in a public log",
    }
    path.write_text(json.dumps(content))
    key = "blocks.0.conv.conv_t.weight"
    server.files[official] = checkpoint(refused, "official", moved=key)
    assert len(server.files[official]) == len(was)
    del server.files[path_of("tiny_missing", "official")]
    server.files[path_of("tiny_other", "official")] = checkpoint(
        "tiny_other", "official", moved=key
    )
