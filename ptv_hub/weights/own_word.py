"""What a weights file says of itself. It proves nothing, but a contradiction tells a mix-up.

A PySlowFast checkpoint holds its config, a safetensors file of ``convert`` or ``push`` the name
of an entry, a checkpoint that a run wrote here the whole entry.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ptv_hub.containers import safetensors_header
from ptv_hub.containers.archive import Archive
from ptv_hub.containers.kind import kind_of, mapped
from ptv_hub.containers.torch_zip import pickle_in
from ptv_hub.errors import CheckpointError
from ptv_hub.weights import checkpoint
from ptv_hub.weights.checkpoint import Checkpoint
from ptv_hub.zoo.claims import without_vouchers
from ptv_hub.zoo.documents import parse_yaml
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.records import first_fault

RECORD = "ptv_hub"
"""Key under which a run's checkpoint holds what PySlowFast has no place for, its entry too."""

ENTRY = "own_entry"
"""Under which ``convert`` hands that entry on, in what it writes."""

_CLAIMS = {
    "num_frames": "NUM_FRAMES",
    "sampling_rate": "SAMPLING_RATE",
    "train_crop_size": "TRAIN_CROP_SIZE",
    "crop_size": "TEST_CROP_SIZE",
}
"""Field of an entry's input -> key of the config's section DATA."""


_ARCHS = {
    "c2d": ("c2d",),
    "slow_c2d": ("c2d_nopool",),
    "2d": ("c2d_nopool",),
    "i3d": ("i3d",),
    "slow": ("slow",),
    "slowfast": ("slowfast",),
    "x3d": ("x3d",),
    "csn": ("csn",),
    "r2plus1d": ("r2plus1d",),
    "mvit": ("mvit",),
}
"""``MODEL.ARCH`` -> the builders of such a network; of ``slow_i3d`` there is none."""


@dataclass(frozen=True)
class OwnWord:
    """What tells apart models of equal keys and shapes, by the file's own claim."""

    name: str | None
    """The entry that a safetensors header names."""
    claims: Mapping[str, object]
    """Of an input's ``num_frames``, ``sampling_rate``, ``train_crop_size`` and ``crop_size``
    those that the config inside states; empty where there is none."""
    names: tuple[str, ...] = ()
    """The entries that a conversion said it may be."""
    builders: tuple[str, ...] | None = None
    """The builders of the network that the config names; ``None`` where it names none."""
    pooled: bool | None = None
    """Whether the config's network has a pool in time, where it says so."""
    pooling: str | None = None
    """How the config's head pools, where there is a config."""
    boxes: bool | None = None
    """Whether the config's head takes boxes, where it says so: no key and no shape does."""
    aligned: bool | None = None
    """Whether the config's RoIAlign is aligned, where there are boxes."""
    inexpressible: str | None = None
    """What the config says that PyTorchVideo's builder cannot do, and no key tells."""

    def is_of(self, item: Entry) -> bool:
        """Whether the file claims to be this entry's: by name, or by all that its config states."""
        return self.name == item.name or (
            bool(self.claims)
            and self.expected(item) == self.claims
            and not self.excludes(item)
            and self.pooling in (None, item.head.pooling)
            and self.aligned in (None, item.head.aligned)
        )

    def excludes(self, item: Entry) -> bool:
        """Whether the file says of itself that its network is another than this entry's."""
        named = bool(self.names) and item.name not in self.names
        other_head = self.boxes is not None and self.boxes != item.head.takes_boxes
        return (
            named
            or other_head
            or (self.builders is not None and item.builder.name not in self.builders)
        )

    def pools_otherwise(self, item: Entry) -> bool:
        """Whether its config's head pools over another area than the entry's; neither in boxes."""
        pooled = {"windowed", "global"}
        return {self.pooling, item.head.pooling} == pooled

    def expected(self, item: Entry) -> dict[str, object]:
        """What the config of this entry's file would state, of what this one does."""
        return {claim: getattr(item.input, claim) for claim in self.claims}


def own_word(file: Checkpoint) -> OwnWord:
    """What the file says of its model's name, network and input."""
    name, several = file.metadata.get("entry"), file.metadata.get("candidates", "")
    names = tuple(filter(None, [name, *several.split(", ")]))
    config = _config(file)
    data, model = config.get("DATA"), config.get("MODEL")
    if not isinstance(data, dict) and not isinstance(model, dict):
        return _word_of_mmaction2(file, name, names)
    data = data if isinstance(data, dict) else {}
    # Numbers alone: a few words of YAML can stand for a list that nobody can print.
    claims = {c: data[key] for c, key in _CLAIMS.items() if type(data.get(key)) is int}
    arch = model.get("ARCH") if isinstance(model, dict) else None
    if not isinstance(arch, str):
        return OwnWord(name, claims, names)
    if isinstance(model, dict) and model.get("MODEL_NAME") == "ResNet_nopool":
        arch = "slow_c2d"  # what the config of C2D_NOPOOL asks for; see the manifest's erratum
    boxes, aligned = _detection(config)
    return OwnWord(
        name,
        claims,
        names,
        builders=_ARCHS.get(arch, ()),
        # Of a SlowFast it would choose between heads, which it tells nothing of.
        pooled=None if arch == "slowfast" else arch in ("c2d", "i3d"),
        pooling="boxes" if boxes else "global" if _in_short_cycles(config) else "windowed",
        boxes=boxes,
        aligned=aligned,
        inexpressible=_of_other_attention(config) if arch == "mvit" else None,
    )


def _in_short_cycles(config: Mapping[str, object]) -> bool:
    """Whether it is of multigrid training, whose heads pool over the whole map."""
    grid = config.get("MULTIGRID")
    return isinstance(grid, dict) and grid.get("SHORT_CYCLE") is True


_MVIT_FLAGS = {
    "RESIDUAL_POOLING": "adds the pooled queries to what attention gives",
    "USE_MEAN_POOLING": "classifies the mean of the tokens and not the class token",
}


def _of_other_attention(config: Mapping[str, object]) -> str | None:
    """A switch of PySlowFast's MViT that is on, and makes another function of the same tensors."""
    said = config.get("MVIT")
    on = [name for name in _MVIT_FLAGS if isinstance(said, dict) and said.get(name) is True]
    return f"MVIT.{on[0]} in its config {_MVIT_FLAGS[on[0]]}" if on else None


def _detection(config: Mapping[str, object]) -> tuple[bool | None, bool | None]:
    """Whether the head takes boxes, and whether its RoIAlign is aligned (PySlowFast's default)."""
    said = config.get("DETECTION")
    enabled = said.get("ENABLE") if isinstance(said, dict) else None
    if not isinstance(said, dict) or not isinstance(enabled, bool):
        return None, None
    return enabled, said.get("ALIGNED", True) is not False if enabled else None


_CONFIG_LETTERS = 100_000
"""Of a config that is read: PySlowFast's have 10,000, and YAML's reader takes seconds for more."""


def _config(file: Checkpoint) -> dict[str, object]:
    """The PySlowFast config that a checkpoint holds, empty where there is none."""
    text = file.training.get("cfg")
    if not isinstance(text, str) or len(text) > _CONFIG_LETTERS:
        return {}
    try:
        import yaml
    except ImportError:  # a bare clone of torch.hub's: what tells most look-alikes apart
        return {"DATA": _numbers_of(text)}
    try:
        config = parse_yaml(text)
    except (yaml.YAMLError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def _numbers_of(text: str) -> dict[str, object]:
    """The claims in the text of a config; their keys have no other place in it."""
    found = {
        key: {int(value) for value in re.findall(rf"\b{key}['\"]?\s*:\s*(\d+)\b", text)}
        for key in _CLAIMS.values()
    }
    return {key: values.pop() for key, values in found.items() if len(values) == 1}


def _word_of_mmaction2(file: Checkpoint, name: str | None, names: tuple[str, ...]) -> OwnWord:
    """What the text of a config in ``meta`` says, where it says one thing only."""
    meta = file.training.get("meta")
    text = meta.get("cfg") if isinstance(meta, dict) else None
    if not isinstance(text, str):
        return OwnWord(name, {}, names)
    claims: dict[str, object] = {}
    for claim, word in (("num_frames", "clip_len"), ("sampling_rate", "frame_interval")):
        said = set(re.findall(rf"\b{word}=(\d{{1,9}})\b", text))
        if len(said) == 1:
            claims[claim] = int(said.pop())
    backbones = set(re.findall(r"backbone=dict\([^()]*?type='(\w+)'", text, re.DOTALL))
    pooled = "C2D" in backbones if backbones & {"C2D", "ResNet"} else None
    return OwnWord(name, claims, names, pooled=pooled)


def recorded(path: str | os.PathLike[str]) -> Entry | None:
    """The entry that a run wrote into its checkpoint: classes, input and protocol of its own.

    ``None`` where the file holds none, as PySlowFast's own checkpoints do. Its name, like all
    that a file says of itself, proves nothing.

    Raises:
        UnreadableFile, UnsafeFile, CheckpointError: no checkpoint, no safe one, or one with a
            record that cannot be understood.
    """
    return None if _surely_without(path) else recorded_in(checkpoint.read(path))


def recorded_or_none(path: str | os.PathLike[str]) -> Entry | None:
    """As ``recorded``; what cannot be read is left to who loads it, and says what is wrong."""
    try:
        return recorded(path)
    except CheckpointError:
        return None


def recorded_in(file: Checkpoint) -> Entry | None:
    """As ``recorded``, of a file that was read."""
    record = file.training.get(RECORD)
    if record is None:
        if ENTRY not in file.metadata:
            return None
        record = {"entry": file.metadata[ENTRY]}
    try:
        if not (isinstance(record, Mapping) and isinstance(record.get("entry"), str)):
            raise TypeError("no text of an entry")
        item = without_vouchers(Entry.model_validate_json(record["entry"]))
        return item.model_copy(update={"digest": None})  # nor does it vouch for its own tensors
    except (TypeError, ValidationError) as error:
        raise CheckpointError(
            "a checkpoint's record of its model cannot be understood",
            where=file.path,
            found=first_fault(error),
            fix="a newer ptv_hub may have written it; the run's folder 'model' holds it as well",
        ) from error


def _surely_without(path: str | os.PathLike[str]) -> bool:
    """Whether a zip's pickle, or a header, does not name the record: told in milliseconds."""
    try:
        kind = kind_of(Path(path))
        if kind == "safetensors":
            text = safetensors_header.text_of(Path(path))
            return ENTRY.encode() not in text and b"\\u" not in text  # JSON may spell letters so
        if kind != "zip":
            return False
        return RECORD.encode() not in pickle_in(Archive(Path(path), mapped(Path(path))))
    except CheckpointError:
        return False  # whoever reads it says what is wrong with it
