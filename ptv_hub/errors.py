"""The exceptions of ptv_hub. Each says what failed, where, expected and found, what to do.

PtvHubError
├── UsageError             the call itself is wrong
│   ├── UnknownName        no entry, layout, stage or export of that name
│   ├── AmbiguousName      more than one entry answers to it
│   ├── NotServed          a row of a table that is left out, with its reason
│   └── WrongInput         a tensor that the model cannot take (also a ValueError)
├── ManifestError          a manifest file that cannot be read or does not hold together
├── ConfigError            a PySlowFast config with a value that has no meaning here
├── CheckpointError        a weights file that cannot be used
│   ├── UnreadableFile     damaged, empty, HTML, not a checkpoint at all
│   │   └── TruncatedFile  its end is missing
│   ├── UnsafeFile         a pickle that wants to run code; nothing of it was run
│   ├── LayoutError        keys of no layout, of two layouts, or colliding ones
│   │   ├── Inexpressible  a network that is known and has no equal here
│   │   └── Undecided      keys and shapes of several networks, and nothing says which
│   ├── KeyMismatch        keys or shapes that are not those of the model
│   └── OtherWeights       of the same keys and shapes, but another model's, or said to be
├── FetchError             a file that could not be brought here
│   ├── NoServer           no address for the server's name: there is no network
│   ├── OfflineError       not in the cache, and the network may not be used
│   └── HashMismatch       the bytes are not those that were published or pinned
├── VideoError             a video, or a folder of frames, that cannot be decoded
├── DataError              an annotation file or data folder that does not hold together
├── AttestationError       what somebody saw of the zoo's files, malformed or contradictory
├── EvaluationError        an evaluation that cannot start, or cannot resume
├── TrainingError          a training run that cannot go on
│   └── Terminated         one that was ended by SIGTERM, after a checkpoint
├── PublishError           a model that the Hugging Face Hub does not take
├── ExportError            an exported file that does not give the model's scores
├── MissingExtra           an optional dependency that is not installed
└── WriteError             a file that could not be written; nothing half-written is left
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import TypedDict

from typing_extensions import Unpack

from ptv_hub.text import Lines, shortened, visible

_LONGEST_FACT = 4000
"""Characters of a line that a message shows; what a stranger's file says may be of any length."""


class Facts(TypedDict, total=False):
    """What an error says beside what failed."""

    where: object
    expected: object
    found: object
    fix: str | None


class PtvHubError(Exception):
    """Base of all errors; ``str()`` of it is the whole message, one fact a line.

    A fact may hold what a stranger's file or server said: in the message it is one line, and
    commands no terminal.
    """

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        expected: object = None,
        found: object = None,
        fix: str | None = None,
    ) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.expected = None if expected is None else str(expected)
        self.found = None if found is None else str(found)
        self.fix = fix
        super().__init__(what)

    def __str__(self) -> str:
        facts = {
            "where": self.where,
            "expected": self.expected,
            "found": self.found,
            "to do": self.fix,
        }
        lines = [
            f"  {label + ':':<9} " + ("\n" + 12 * " ").join(map(_line, _parts(fact)))
            for label, fact in facts.items()
            if fact is not None
        ]
        return "\n".join([_line(self.what), *lines])

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process boundaries (decoding workers); pickle's default would
        # call the constructor with `what` alone and lose the other facts.
        return (_rebuild, (type(self), self.__dict__))


def _parts(fact: str) -> tuple[str, ...]:
    return fact.parts if isinstance(fact, Lines) else (fact,)


def _line(fact: str) -> str:
    return visible(shortened(fact, _LONGEST_FACT))


def _rebuild(cls: type[PtvHubError], facts: dict[str, object]) -> PtvHubError:
    error = cls.__new__(cls)
    Exception.__init__(error, facts["what"])
    error.__dict__.update(facts)
    return error


class UsageError(PtvHubError):
    """The call itself is wrong; the command line exits with 2."""


class UnknownName(UsageError):
    """Nothing has this name; ``neighbours`` are the nearest of those that there are.

    ``known`` are the names that there are; ``spellings``, where a name has several, are those:
    spelling -> name. ``see`` says where all of them stand; without it they are listed.
    """

    def __init__(
        self,
        kind: str,
        name: object,
        known: Iterable[str],
        *,
        spellings: Mapping[str, str] | None = None,
        see: str | None = None,
    ) -> None:
        self.name = str(name)
        self.known = tuple(known)
        self.spellings = spellings or {one: one for one in self.known}
        self.neighbours = _neighbours(self.name, self.spellings)
        hint = f"did you mean {' or '.join(self.neighbours)}? " if self.neighbours else ""
        see = see or f"there are: {', '.join(self.known)}"
        super().__init__(f"there is no {kind} {self.name!r}", fix=f"{hint}{see}")


def _neighbours(name: str, spellings: Mapping[str, str]) -> tuple[str, ...]:
    """At most three names that begin as ``name`` does, or are spelled much like it."""
    folded = {spelling.casefold(): known for spelling, known in spellings.items()}
    wanted = name.strip().casefold()
    near = [one for one in folded if wanted and one.startswith(wanted)]
    near += get_close_matches(wanted, folded, n=6, cutoff=0.5)
    return tuple(dict.fromkeys(folded[one] for one in near))[:3]


class AmbiguousName(UsageError):
    """Several entries answer to this name; ``spellings`` are those that mean one only."""

    def __init__(self, name: str, spellings: Sequence[str], *, count: int) -> None:
        self.name = name
        self.spellings = tuple(spellings)
        super().__init__(
            f"{name!r} is the name of {count} models",
            fix=f"say which: {', '.join(self.spellings)}",
        )


class NotServed(UsageError):
    """A row of a table that is known and left out; ``reason`` says why."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        super().__init__(
            f"{name} is known, and not served",
            found=reason,
            fix="run it with its owners' code; 'ptv-hub list --all' shows what is served",
        )


class WrongInput(UsageError, ValueError):
    """A tensor whose shape, type or number of pathways the model cannot take."""


class ManifestError(PtvHubError):
    """A manifest that cannot be read or does not hold together."""


class ConfigError(PtvHubError):
    """A PySlowFast config with a value that has no meaning here."""


class CheckpointError(PtvHubError):
    """A weights file that cannot be used."""


class UnreadableFile(CheckpointError):
    """Not a checkpoint: missing, empty, truncated, a web page, or something else."""


class TruncatedFile(UnreadableFile):
    """A file whose end is missing: more of it may still come."""


class UnsafeFile(CheckpointError):
    """A pickle that asks for more than data; nothing of it was run."""


class LayoutError(CheckpointError):
    """Keys that no layout names, that two layouts share, or that collide."""

    def __init__(self, what: str, *, keys: Sequence[str] = (), **facts: Unpack[Facts]) -> None:
        self.keys = tuple(keys)
        super().__init__(what, **facts)


class Inexpressible(LayoutError):
    """A network that is known and that PyTorchVideo's builders cannot express."""

    def __init__(self, what: str, *, layout: str | None = None, **facts: object) -> None:
        self.layout = layout
        super().__init__(what, **facts)  # type: ignore[arg-type]


class Undecided(LayoutError):
    """Keys and shapes are those of several networks, and the file does not say which it is."""


class KeyMismatch(CheckpointError):
    """Keys or shapes that are not those of the model, by name."""

    def __init__(
        self,
        what: str,
        *,
        missing: Sequence[str] = (),
        unexpected: Sequence[str] = (),
        mismatched: Sequence[str] = (),
        **facts: Unpack[Facts],
    ) -> None:
        self.missing = tuple(missing)
        self.unexpected = tuple(unexpected)
        self.mismatched = tuple(mismatched)
        super().__init__(what, **facts)


class OtherWeights(CheckpointError):
    """Weights that fit the model and are another's, as is proven or as the file says."""


class FetchError(PtvHubError):
    """A file that could not be brought here."""


class NoServer(FetchError):
    """The name of a server has no address here: no network, or no such server."""


class OfflineError(FetchError):
    """Not in the cache, and the network may not be used."""


class HashMismatch(FetchError):
    """The bytes are not those that were published or pinned."""


class VideoError(PtvHubError):
    """A video, or a folder of frames, that cannot be decoded."""


class EmptyClip(VideoError):
    """A clip of a video in which no frame falls."""


class DataError(PtvHubError):
    """An annotation file or data folder that does not hold together."""


class AnnotationMissing(DataError):
    """A data folder without the annotation files of the split that is asked for."""


class AttestationError(PtvHubError):
    """An attestation that is malformed, or contradicts itself or what is known."""


class EvaluationError(PtvHubError):
    """An evaluation that cannot start, or cannot resume."""


class PublishError(PtvHubError):
    """A model that the Hugging Face Hub does not take, or that could not be sent there."""


class ExportError(PtvHubError):
    """A model that cannot be exported, or a file that does not give the model's scores."""


class QuantizationError(PtvHubError):
    """A model could not be brought into eight bits, or is not the same model there."""


class TrainingError(PtvHubError):
    """A training run that cannot go on."""


class Terminated(TrainingError):
    """A run that was ended by SIGTERM; the command line exits with 143."""


class MissingExtra(PtvHubError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str, *, needed_for: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(
            f"{needed_for} needs {package}, which is not installed",
            fix=f"pip install 'ptv_hub[{extra}]'",
        )


class WriteError(PtvHubError):
    """A file that could not be written; nothing half-written is left."""

    @classmethod
    def because(cls, error: OSError, path: object, *, fix: str | None = None) -> WriteError:
        """What the system said on writing ``path``, the common reasons in words."""
        reasons = {
            errno.ENOSPC: "the disk is full",
            errno.EDQUOT: "the disk quota is used up",
            errno.EACCES: "permission denied",
            errno.EPERM: "permission denied",
            errno.EROFS: "the file system is read-only",
            errno.ENOTDIR: "a part of the path is a file, not a folder",
            errno.EEXIST: "a file is in the place of a folder",
            errno.EISDIR: "a folder is in the place of the file",
        }
        found = reasons.get(error.errno or 0, error.strerror or str(error))
        return cls("a file could not be written", where=path, found=found, fix=fix)
