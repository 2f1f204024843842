"""What a stray file is: layout, architecture, candidates in the manifest, and on what evidence."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import ValidationError
from torch import Tensor

from ptv_hub.errors import CheckpointError, LayoutError
from ptv_hub.files import sha256_of
from ptv_hub.models.builders import shapes
from ptv_hub.models.digest import digest
from ptv_hub.weights import checkpoint, layouts
from ptv_hub.weights.checkpoint import Checkpoint
from ptv_hub.zoo.entry import Entry, Record, first_fault
from ptv_hub.zoo.manifest import entries

RECORD = "ptv_hub"
"""Key under which a run's checkpoint holds what PySlowFast has no place for, its entry too."""

Evidence = Literal[
    "file hash",
    "digest",
    "keys, shapes and the file's own word",
    "keys and shapes",
    "keys and shapes but for the head",
]


class Candidate(Record):
    name: str
    evidence: Evidence
    """The strongest there is. A hash or digest proves; keys, shapes, and what the file says of
    itself (the config in a PySlowFast checkpoint, the metadata of safetensors) only agree."""


class Identity(Record):
    """What ``identify`` found out about a file that can be read safely."""

    path: str
    size: int
    """Bytes."""
    sha256: str
    """Of the file."""
    format: Literal["zip", "legacy", "safetensors"]
    container: str
    wrapper: str
    """Prefixes of wrappers around the keys: ``module.``."""
    layout: str | None
    """``None`` where no layout names the keys; ``problem`` says why."""
    problem: str | None
    num_tensors: int
    dtypes: tuple[str, ...]
    digest: str | None
    num_classes: int | None
    datasets: tuple[str, ...]
    """Data sets of the manifest with as many classes."""
    candidates: tuple[Candidate, ...]
    own_word: str | None
    """Which model a run's checkpoint says it is; proves nothing."""
    training: tuple[str, ...]
    """What the file holds beside the weights: ``epoch``, ``optimizer_state``, ``cfg``."""
    training_bytes: int
    safe: Literal[True] = True
    """An unsafe file has no identity: reading it is an ``UnsafeFile`` error."""


def identify(path: str | os.PathLike[str]) -> Identity:
    """What a weights file is. Nothing in it is run.

    Raises:
        UnreadableFile, UnsafeFile, CheckpointError: it is no checkpoint, or no safe one.
    """
    file = checkpoint.read(path)
    sha256 = sha256_of(file.path)
    layout = problem = found_digest = classes = None
    likely: tuple[Candidate, ...] = ()
    try:
        layout = layouts.detect(file.tensors)
    except LayoutError as error:
        problem = str(error)
    else:
        official = layouts.convert(file.tensors, layout, layouts.OFFICIAL)
        found_digest = digest(official)
        classes = _num_classes(official)
        likely = candidates(file, official, sha256=sha256, found_digest=found_digest)
    return Identity(
        path=str(file.path),
        size=file.path.stat().st_size,
        sha256=sha256,
        format=file.format,
        container=file.container,
        wrapper=file.prefix,
        layout=layout,
        problem=problem,
        num_tensors=len(file.tensors),
        dtypes=tuple(sorted({str(t.dtype).removeprefix("torch.") for t in file.tensors.values()})),
        digest=found_digest,
        num_classes=classes,
        datasets=tuple(dict.fromkeys(e.dataset for e in entries() if e.num_classes == classes)),
        candidates=likely,
        own_word=_own_word(file),
        training=tuple(file.training),
        training_bytes=_tensor_bytes(file.training),
    )


def candidates(
    file: Checkpoint,
    official: dict[str, Tensor],
    *,
    sha256: str | None = None,
    found_digest: str | None = None,
) -> tuple[Candidate, ...]:
    """The entries that a file may be, those with the strongest evidence only."""
    found: dict[str, Evidence] = {}
    have = {key: tuple(tensor.shape) for key, tensor in official.items()}
    claims = config_claims(file)
    for item in entries():
        says_so = file.metadata.get("entry") == item.name or (
            bool(claims) and all(_claimed(item)[key] == claims[key] for key in claims)
        )
        evidence = _evidence(item, have, says_so, sha256, found_digest)
        if evidence is not None:
            found[item.name] = evidence
    for strongest in Evidence.__args__:  # type: ignore[attr-defined]
        names = [name for name, evidence in found.items() if evidence == strongest]
        if names:
            return tuple(Candidate(name=name, evidence=strongest) for name in names)
    return ()


def _evidence(
    item: Entry,
    have: dict[str, tuple[int, ...]],
    says_so: bool,
    sha256: str | None,
    found_digest: str | None,
) -> Evidence | None:
    if sha256 is not None and sha256 in {a.sha256 for a in item.artifacts}:
        return "file hash"
    if found_digest is not None and found_digest == item.digest:
        return "digest"
    expected = shapes(item)
    if have == expected:
        return "keys, shapes and the file's own word" if says_so else "keys and shapes"
    if have.keys() == expected.keys():
        differ = [key for key in have if have[key] != expected[key]]
        if all(".proj." in key and have[key][1:] == expected[key][1:] for key in differ):
            return "keys and shapes but for the head"
    return None


def config_claims(file: Checkpoint) -> dict[str, Any]:
    """What the PySlowFast config inside a file says of its input; empty where there is none.

    Of ``num_frames``, ``sampling_rate``, ``train_crop_size`` and ``crop_size`` those that
    it states: the file's own claim, which tells apart models of equal keys and shapes.
    """
    text = file.training.get("cfg")
    if not isinstance(text, str):
        return {}
    import yaml

    try:
        config = yaml.safe_load(text)
        data = config["DATA"]
        stated = {claim: data[key] for claim, key in _CLAIMS.items() if key in data}
    except (yaml.YAMLError, KeyError, TypeError):
        return {}
    return stated


def recorded(path: str | os.PathLike[str]) -> Entry | None:
    """The entry that a run wrote into its checkpoint: classes, input and protocol of its own.

    ``None`` where the file holds none, as PySlowFast's own checkpoints do. Its name, like all
    that a file says of itself, proves nothing.

    Raises:
        UnreadableFile, UnsafeFile, CheckpointError: no checkpoint, no safe one, or one with a
            record that cannot be understood.
    """
    return None if _surely_without(path) else _record(checkpoint.read(path))


def _record(file: Checkpoint) -> Entry | None:
    record = file.training.get(RECORD)
    if record is None:
        return None
    try:
        return Entry.model_validate_json(record["entry"])
    except (KeyError, TypeError, ValidationError) as error:
        raise CheckpointError(
            "a checkpoint's record of its model cannot be understood",
            where=file.path,
            found=first_fault(error),
            fix="a newer ptv_hub may have written it; the run's folder 'model' holds it as well",
        ) from error


def _own_word(file: Checkpoint) -> str | None:
    try:
        own = _record(file)
    except CheckpointError as error:
        return error.what
    return None if own is None else f"{own.name}, {own.num_classes} classes, {own.source}"


def _surely_without(path: str | os.PathLike[str]) -> bool:
    """Whether a zip's pickle does not even name the record: most files, told in milliseconds."""
    try:
        with zipfile.ZipFile(path) as file:
            pickles = [name for name in file.namelist() if name.endswith("/data.pkl")]
            return bool(pickles) and all(RECORD.encode() not in file.read(p) for p in pickles)
    except (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error):
        return False


_CLAIMS = {
    "num_frames": "NUM_FRAMES",
    "sampling_rate": "SAMPLING_RATE",
    "train_crop_size": "TRAIN_CROP_SIZE",
    "crop_size": "TEST_CROP_SIZE",
}


def _claimed(item: Entry) -> dict[str, Any]:
    return {claim: getattr(item.input, claim) for claim in _CLAIMS}


def _num_classes(official: dict[str, Tensor]) -> int | None:
    heads = [t.shape[0] for key, t in official.items() if key.endswith(".proj.bias")]
    return heads[0] if len(heads) == 1 else None


def _tensor_bytes(value: Any) -> int:
    """Bytes of all tensors in nested plain data."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, dict):
        return sum(_tensor_bytes(item) for item in value.values())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return sum(_tensor_bytes(item) for item in value)
    return 0


def lookalikes(entry: Entry) -> list[Entry]:
    """The other entries with the same keys and shapes that want other input than this one.

    X3D_XS, X3D_S and X3D_M are one architecture trained on clips of other lengths and sizes; so
    are SLOW_4x16 and SLOW_8x8. A swapped file loads without a complaint and scores badly.
    """
    return [
        item
        for item in entries()
        # Equal shapes have equal sums; the cheap question first.
        if (None in (item.num_params, entry.num_params) or item.num_params == entry.num_params)
        and not same_model(item, entry)
        and shapes(item) == shapes(entry)
    ]


def same_model(one: Entry, other: Entry) -> bool:
    """Whether weights of one are rightly used as the other: two names of one model."""
    return (one.builder, one.input, one.dataset) == (other.builder, other.input, other.dataset)
