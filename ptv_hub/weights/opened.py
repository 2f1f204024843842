"""A weights file, opened once and handed on: what is asked of it is found out once, when asked.

A command that converts, verifies and publishes a file asks the same of it in several rooms:
they take this record, not the path.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import Tensor

from ptv_hub.files import sha256_of
from ptv_hub.models.digest import digest
from ptv_hub.weights import checkpoint, layouts
from ptv_hub.weights.checkpoint import Checkpoint
from ptv_hub.weights.own_word import OwnWord, own_word


@dataclass(frozen=True)
class OpenedWeights:
    """A weights file and what is known of it; nothing is read before it is asked for."""

    path: Path
    checked: bool = False
    """Whether reading it holds every byte against the file's checksums (``checkpoint.read``)."""

    @cached_property
    def size(self) -> int:
        """Bytes. Raises OSError."""
        return self.path.stat().st_size

    @cached_property
    def sha256(self) -> str:
        """Of the file. Raises OSError."""
        return sha256_of(self.path)

    @cached_property
    def file(self) -> Checkpoint:
        """What is in it, tensors mapped. Raises CheckpointError, as ``checkpoint.read``."""
        return checkpoint.read(self.path, checked=self.checked)

    @cached_property
    def layout(self) -> str:
        """Raises LayoutError where none names the keys, CheckpointError as ``file``."""
        return layouts.detect(self.file.tensors)

    @cached_property
    def official(self) -> dict[str, Tensor]:
        """The tensors under official keys. Raises as ``layout``."""
        return layouts.convert(self.file.tensors, self.layout, layouts.OFFICIAL)

    @cached_property
    def digest(self) -> str:
        """Of the tensors. Raises as ``layout``."""
        return digest(self.official)

    @cached_property
    def own_word(self) -> OwnWord:
        """What the file says of itself. Raises CheckpointError, as ``file``."""
        return own_word(self.file)
