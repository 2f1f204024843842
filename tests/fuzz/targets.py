"""What is fuzzed: each takes any bytes, and raises for a finding alone.

An error of ours is an answer, and every other exception a finding. ``test_targets.py`` goes through
them with hypothesis, ``make fuzz TIME=SECONDS`` with atheris.
"""

from __future__ import annotations

import atexit
import copy
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ptv_hub.containers import safetensors_header
from ptv_hub.containers.bounds import expanded_bytes
from ptv_hub.errors import CheckpointError, FetchError, PtvHubError
from ptv_hub.fetching import cache, headers, hub
from ptv_hub.fetching.addresses import redirected, shown, without_secrets
from ptv_hub.fetching.completeness import broken
from ptv_hub.fetching.unpacking import FORMS, Unpacker
from ptv_hub.text import visible
from ptv_hub.weights.checkpoint import read
from ptv_hub.zoo.manifest import entries, manifest_folder, read_manifest
from ptv_hub.zoo.names import file_name
from ptv_hub.zoo.pyslowfast import from_config
from ptv_hub.zoo.repository import HubConfig, Provenance, WeightsFile
from tests.hostile import pickled, saved, zipped

_FOLDER = Path(tempfile.mkdtemp(prefix="ptv_hub_fuzz-"))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)


def _written(name: str, data: bytes) -> Path:
    path = _FOLDER / name
    path.write_bytes(data)
    return path


def _is_told(error: PtvHubError) -> None:
    """That the message is a few lines, and commands nothing."""
    text = str(error)
    assert text == visible(text, keep="\n"), ascii(text)
    assert text.count("\n") <= 4
    assert len(text) < 25_000


def manifest(data: bytes) -> None:
    try:
        found = read_manifest(_written("manifest.json", data))
    except PtvHubError as error:
        _is_told(error)
        return
    for item in found:
        assert file_name(item.name) == item.name.strip(".") or not item.name.strip(".")


def config(data: bytes) -> None:
    """The ``config.json`` of a repository."""
    _written("config.json", data)
    try:
        _, item = hub.read_config(f"local-dir:{_FOLDER}")
    except PtvHubError as error:
        _is_told(error)
        return
    assert set(item.artifacts[1:]) <= {file for known in entries() for file in known.artifacts}


def lock(data: bytes) -> None:
    os.environ[cache.LOCK_VARIABLE] = str(_written("a.lock", data))
    try:
        cache.read_lock()
    except PtvHubError as error:
        _is_told(error)
    finally:
        del os.environ[cache.LOCK_VARIABLE]


def pins(data: bytes) -> None:
    before = os.environ.get(cache.CACHE_VARIABLE)
    os.environ[cache.CACHE_VARIABLE] = str(_FOLDER)
    _written("pins.json", data)
    try:
        cache.pins()
    except PtvHubError as error:
        _is_told(error)
    finally:
        if before is None:
            del os.environ[cache.CACHE_VARIABLE]
        else:
            os.environ[cache.CACHE_VARIABLE] = before


def http_headers(data: bytes) -> None:
    """Every value is taken for every header."""
    value = data.decode("latin-1")
    length, part = headers.length(value), headers.content_range(value)
    assert length is None or 0 <= length <= headers.LONGEST
    assert part is None or 0 <= part.start < 10**18
    wait = headers.retry_after(value)
    assert math.isfinite(wait)
    assert 0 <= wait <= headers.LONGEST_WAIT_S
    headers.encoding(value)
    assert "@" not in shown(f"https://{value.replace('/', '')}@a.b/")
    without_secrets(value)
    for url in ("https://a.b/c?d", "http://a.b:8/"):
        try:
            target = redirected(url, value)
        except FetchError as error:
            _is_told(error)
            continue
        assert target.startswith(("https://", "http://") if url < "https" else "https://")
        assert "@" not in target.split("/")[2]


def compressed(data: bytes) -> None:
    """The first byte says the form and in how many pieces the others arrive."""
    if not data:
        return
    unpack = Unpacker(FORMS[data[0] % len(FORMS)], "https://a.b/c")
    step = data[0] // len(FORMS) + 1
    grown = 0
    try:
        for at in range(1, len(data), step):
            grown += sum(map(len, unpack(data[at : at + step])))
    except FetchError as error:
        _is_told(error)
    assert grown <= (65 << 20) + 20 * len(data)


def completeness(data: bytes) -> None:
    error = broken(_written("file.pyth", data))
    if error is not None:
        _is_told(error)
    assert error or data[:1] == b"\x80" or data[:2] == b"PK" or data[8:9] == b"{"


def checkpoint(data: bytes) -> None:
    """A weights file of any kind, as loading reads it and as verifying does."""
    path = _written("file.pyth", data)
    for checked in (False, True):
        try:
            found = read(path, checked=checked)
        except CheckpointError as error:
            _is_told(error)
            continue
        assert found.tensors
        assert found.tensor_bytes <= expanded_bytes(len(data))


def safetensors(data: bytes) -> None:
    """The header of a safetensors file, to which its length is put."""
    text, _, body = data.partition(b"\0")
    path = _written("a.safetensors", len(text).to_bytes(8, "little") + text + body)
    try:
        safetensors_header.read(path)
    except CheckpointError as error:
        _is_told(error)


def yaml_config(data: bytes) -> None:
    """PySlowFast's YAML."""
    try:
        found = from_config(_written("a.yaml", data))
    except PtvHubError as error:
        _is_told(error)
        return
    assert found.entry.name == "a"


TARGETS: dict[str, Callable[[bytes], None]] = {
    "manifest": manifest,
    "config": config,
    "lock": lock,
    "pins": pins,
    "http_headers": http_headers,
    "compressed": compressed,
    "completeness": completeness,
    "checkpoint": checkpoint,
    "safetensors": safetensors,
    "yaml_config": yaml_config,
}


# ---------------------------------------------------------------------------- to begin from


def zoo_document() -> dict[str, Any]:
    """A manifest of two models."""
    document = json.loads((manifest_folder() / "kinetics400.json").read_text())
    rows = [e for e in document["entries"] if e["name"] in ("x3d_xs", "slowfast_r50")]
    return {**document, "labels": [], "entries": rows}


def config_document() -> dict[str, Any]:
    """The config of a repository with one of the zoo's models."""
    item = next(e for e in read_manifest(manifest_folder() / "kinetics400.json"))
    item = item.model_copy(update={"labels": ("a", "b"), "num_classes": 2, "published": None})
    weights = WeightsFile(size=10, sha256="0" * 64, digest="1" * 64)
    origin = Provenance(
        source="a", sha256="2" * 64, vouched_by=None, evidence="keys and shapes", converted_by="b"
    )
    return json.loads(HubConfig.of(item, weights, origin).model_dump_json())


def documents() -> dict[str, list[dict[str, Any]]]:
    """Good JSON of the targets that read it."""
    file = {"sha256": "0" * 64, "size": 5, "vouched_by": "a"}
    pin = {"sha256": "0" * 64, "size": 5, "mtime_ns": 5, "since": "2026-01-01", "source": "a"}
    return copy.deepcopy(
        {
            "manifest": [zoo_document()],
            "config": [config_document()],
            "lock": [{"schema_version": 1, "files": {"https://a.b/c": file}}],
            "pins": [{"schema_version": 1, "files": {"a.b/c": pin}}],
        }
    )


TEXTS: dict[str, list[bytes]] = {
    "http_headers": [
        *(
            b"300000",
            b"5, 6",
            b"bytes 0-4/5",
            b"bytes */5",
            b"gzip",
            b"https://u:p@a.b:443/c?d=e#f",
        ),
        *(b"Wed, 21 Oct 2026 07:28:00 GMT", b"//[::1]:80/x", b"../x", b"http:a", b"\xb2", b"-1"),
    ],
    "compressed": [b"\x00\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\x03\x00\x00\x00\x00\x00\x00"],
    "completeness": [
        (40).to_bytes(8, "little") + b'{"a":{"dtype":"F32","data_offsets":[0,4]}}',
        b"PK\x05\x06" + bytes(18),
        b"PK\x03\x04" + bytes(26),
        b"\x80\x02}q\x00.",
    ],
    "safetensors": [
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}\x001234',
        b'{"__metadata__":{"a":"b"},"c":{"dtype":"BF16","shape":[0,9],"data_offsets":[0,0]}}',
    ],
    "yaml_config": [
        b"MODEL:\n  MODEL_NAME: PTVX3D\n  ARCH: x3d\nTRAIN:\n  DATASET: ptvkinetics\n",
        b"DATA: &a\n  MEAN: [0.45, 0.45, 0.45]\nTEST: *a\n",
        b"_BASE_: other.yaml\n",
        b"- a\n- 2001-01-01\n- 1:60\n- !!binary aaaa\n",
    ],
}
"""What the targets of other formats begin from."""


def seeds(name: str) -> list[bytes]:
    """What a target begins from."""
    found = [json.dumps(document).encode() for document in documents().get(name, [])]
    if name == "yaml_config":
        folder = Path(__file__).parents[1] / "data" / "written_by_0_1" / "configs"
        found += [path.read_bytes() for path in sorted(folder.glob("*.yaml"))]
    if name == "checkpoint":
        state = {"model_state": {"blocks.0.w": torch.arange(3.0)}, "epoch": 1}
        found += [saved(state), saved(state, old=True), zipped(pickled({"a": [1, {"b": 2.5}]}))]
    return [*found, *TEXTS.get(name, [])]
