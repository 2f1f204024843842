"""A weights file, opened once and handed on: what is asked of it is found out once, when asked.

A command that converts, verifies and publishes a file asks the same of it in several rooms:
they take this record, not the path.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import Tensor

from ptv_hub.errors import Inexpressible, LayoutError, Undecided
from ptv_hub.files import sha256_of
from ptv_hub.models.builders import shapes
from ptv_hub.models.digest import digest
from ptv_hub.weights import checkpoint, layouts
from ptv_hub.weights.checkpoint import Checkpoint
from ptv_hub.weights.layouts import Converted
from ptv_hub.weights.own_word import OwnWord, own_word
from ptv_hub.weights.refusals import refused
from ptv_hub.weights.rules import Scheme, Shapes
from ptv_hub.weights.shapes import trained
from ptv_hub.weights.transformations import ALIASED
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.manifest import known, left_out


@dataclass(frozen=True)
class OpenedWeights:
    """A weights file and what is known of it; nothing is read before it is asked for."""

    path: Path
    entry: Entry | None = None
    """Whose weights they are by the user's word, which decides where the file does not."""
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
    def has_aliases(self) -> bool:
        """Whether layers of attention have two names: what PyTorchVideo's head writes."""
        return any(f".{ALIASED}" in key for key in self.file.tensors)

    @property
    def layout(self) -> str:
        """Raises LayoutError where none names the keys, CheckpointError as ``file``."""
        if isinstance(self._layout, LayoutError):
            raise self._layout
        return self._layout

    @cached_property
    def _layout(self) -> str | LayoutError:
        # Of 60,000 keys it takes seconds to say what they are not: once is enough.
        try:
            return layouts.detect(self.file.tensors)
        except LayoutError as error:
            return error

    @cached_property
    def readings(self) -> tuple[Scheme, ...]:
        """The tables that can read it, by what it holds and says; one for most files.

        Raises:
            Inexpressible: it is of a network that is known and not served.
            LayoutError, CheckpointError: as ``layout``.
        """
        every = layouts.schemes(self.file.tensors, self.layout)
        if self.own_word.inexpressible is not None:
            raise refused(
                f"{every[0].family} of PySlowFast", self.own_word.inexpressible, self.layout
            )
        found = self._with_its_head(every)
        if len(every) == 1:  # what is said of it need not be asked: an entry is built for that
            return found
        for told in self._told(every, found):
            if len(told) == 1:
                return (layouts.one_scheme(told),)
        return found

    def _with_its_head(self, every: tuple[Scheme, ...]) -> tuple[Scheme, ...]:
        """Those with the head that the file's config says, or else its number of classes tells."""
        boxes = self.own_word.boxes
        if boxes is None:
            return layouts.of_its_classes(every, self.file.tensors)
        found = tuple(s for s in every if s.takes_boxes == boxes)
        if boxes and not found:
            raise refused(
                f"a detector of PySlowFast on {every[0].family}",
                "its config says DETECTION.ENABLE, and of such networks PyTorchVideo's builders"
                " give none a head for boxes",
                self.layout,
            )
        return found or every

    def _told(
        self, every: tuple[Scheme, ...], found: tuple[Scheme, ...]
    ) -> Iterator[tuple[Scheme, ...]]:
        """Of several tables those that agree with what is said of the file, a word at a time."""
        if self.entry is not None:
            yield self._like(every, self.entry)
        if self.own_word.name is not None:
            yield from (self._like(every, e) for e in known() if e.name == self.own_word.name)
        yield found
        pooled = self.own_word.pooled
        if pooled is not None:
            yield tuple(s for s in found if _is_pooled(s) == pooled)
        # A hash takes time: last.
        for row in left_out():
            if row.sha256_begins and self.sha256.startswith(row.sha256_begins):
                raise Inexpressible(
                    f"{row.name}: this file is left out of the zoo",
                    layout=self.layout,
                    where=self.path,
                    found=row.reason,
                    fix="run it with its owners' code",
                )
        for item in known():
            if any(begins_as_stated(self, item)):
                yield self._like(every, item)

    def _like(self, found: tuple[Scheme, ...], item: Entry) -> tuple[Scheme, ...]:
        """The tables that read it into the entry's keys."""
        wanted = shapes(item).keys()
        return tuple(s for s in found if self.read_by(s).keys() == wanted)

    def read_by(self, scheme: Scheme) -> Shapes:
        """Official key -> shape, as a table reads the file. Raises LayoutError."""
        hollow = {key: tensor.to("meta") for key, tensor in self.file.tensors.items()}
        read = layouts.officially(hollow, scheme).tensors
        return {key: tuple(tensor.shape) for key, tensor in read.items()}

    @cached_property
    def converted(self) -> Converted:
        """The tensors under official keys, and what was done to them.

        Raises:
            Undecided: several tables can read it, and nothing says which. Else as ``readings``.
        """
        if len(self.readings) > 1:
            raise Undecided(
                "keys and shapes are those of several networks, and nothing says which",
                where=self.path,
                expected="a file that says what it is (config, hash in its name), or your word",
                found=" or ".join(s.family for s in self.readings),
                fix="say whose weights these are: --as NAME (of its network, whatever the classes),"
                " or ptv_hub.load(NAME, weights=FILE, num_classes=N); 'ptv-hub identify FILE' names"
                " those that they can be. PySlowFast's own files say it under 'cfg'",
            )
        return layouts.officially(self.file.tensors, self.readings[0])

    @property
    def official(self) -> dict[str, Tensor]:
        """The tensors under official keys. Raises as ``converted``."""
        return self.converted.tensors

    @cached_property
    def num_params(self) -> int:
        """Of the tensors, those that learn. Raises as ``converted``."""
        return trained({key: tuple(tensor.shape) for key, tensor in self.official.items()})

    @cached_property
    def digest(self) -> str:
        """Of the tensors. Raises as ``converted``."""
        return digest(self.official)

    @cached_property
    def own_word(self) -> OwnWord:
        """What the file says of itself. Raises CheckpointError, as ``file``."""
        return own_word(self.file)


def begins_as_stated(weights: OpenedWeights, item: Entry) -> Iterator[bool]:
    """Of each of the entry's files of which a hash is stated: whether this one has it."""
    for artifact in item.artifacts:
        if artifact.size not in (None, weights.size):
            continue
        if artifact.sha256 is not None:
            yield artifact.sha256 == weights.sha256
        elif artifact.sha256_begins is not None:
            yield weights.sha256.startswith(artifact.sha256_begins)


def _is_pooled(scheme: Scheme) -> bool:
    """Whether a ResNet's table leaves room for a pool in time."""
    return scheme.from_official("blocks.6.proj.weight") is not None
