"""What a weights file says of itself. It proves nothing, but a contradiction tells a mix-up.

A PySlowFast checkpoint holds its config, a safetensors file of ``convert`` or ``push`` the name
of an entry, a checkpoint that a run wrote here the whole entry.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ptv_hub.containers.archive import Archive
from ptv_hub.containers.kind import kind_of, mapped
from ptv_hub.containers.torch_zip import pickle_in
from ptv_hub.errors import CheckpointError
from ptv_hub.weights import checkpoint
from ptv_hub.weights.checkpoint import Checkpoint
from ptv_hub.zoo.entry import Entry, first_fault

RECORD = "ptv_hub"
"""Key under which a run's checkpoint holds what PySlowFast has no place for, its entry too."""

_CLAIMS = {
    "num_frames": "NUM_FRAMES",
    "sampling_rate": "SAMPLING_RATE",
    "train_crop_size": "TRAIN_CROP_SIZE",
    "crop_size": "TEST_CROP_SIZE",
}
"""Field of an entry's input -> key of the config's section DATA."""


@dataclass(frozen=True)
class OwnWord:
    """What tells apart models of equal keys and shapes, by the file's own claim."""

    name: str | None
    """The entry that a safetensors header names."""
    claims: Mapping[str, object]
    """Of an input's ``num_frames``, ``sampling_rate``, ``train_crop_size`` and ``crop_size``
    those that the config inside states; empty where there is none."""

    def is_of(self, item: Entry) -> bool:
        """Whether the file claims to be this entry's: by name, or by all that its config states."""
        return self.name == item.name or (bool(self.claims) and self.expected(item) == self.claims)

    def expected(self, item: Entry) -> dict[str, object]:
        """What the config of this entry's file would state, of what this one does."""
        return {claim: getattr(item.input, claim) for claim in self.claims}


def own_word(file: Checkpoint) -> OwnWord:
    """What the file says of its model's name and input."""
    return OwnWord(file.metadata.get("entry"), _config_claims(file))


def _config_claims(file: Checkpoint) -> dict[str, object]:
    text = file.training.get("cfg")
    if not isinstance(text, str):
        return {}
    import yaml

    try:
        data = yaml.safe_load(text)["DATA"]
        return {claim: data[key] for claim, key in _CLAIMS.items() if key in data}
    except (yaml.YAMLError, KeyError, TypeError):
        return {}


def recorded(path: str | os.PathLike[str]) -> Entry | None:
    """The entry that a run wrote into its checkpoint: classes, input and protocol of its own.

    ``None`` where the file holds none, as PySlowFast's own checkpoints do. Its name, like all
    that a file says of itself, proves nothing.

    Raises:
        UnreadableFile, UnsafeFile, CheckpointError: no checkpoint, no safe one, or one with a
            record that cannot be understood.
    """
    return None if _surely_without(path) else recorded_in(checkpoint.read(path))


def recorded_in(file: Checkpoint) -> Entry | None:
    """As ``recorded``, of a file that was read."""
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


def _surely_without(path: str | os.PathLike[str]) -> bool:
    """Whether a zip's pickle does not even name the record: most files, told in milliseconds."""
    try:
        if kind_of(Path(path)) != "zip":
            return False
        return RECORD.encode() not in pickle_in(Archive(Path(path), mapped(Path(path))))
    except CheckpointError:
        return False  # whoever reads it says what is wrong with it
