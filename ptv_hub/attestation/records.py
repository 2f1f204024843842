"""What somebody saw of the zoo's files: the file that ``ptv-hub attest`` writes.

``docs/attestation.schema.json`` is its JSON Schema.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator
from typing_extensions import Self

from ptv_hub.errors import AttestationError
from ptv_hub.verification.goldens import Golden
from ptv_hub.verification.records import Check
from ptv_hub.zoo.documents import read_json
from ptv_hub.zoo.entry import Measured
from ptv_hub.zoo.names import Line, Name
from ptv_hub.zoo.records import Record, Sha256, first_faults

Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
"""UTC."""


class SeenFile(Record):
    """One file of one zoo, and what became of fetching and reading it."""

    zoo: Line
    url: Line
    """The address that the manifest names."""
    status: Literal["brought", "refused", "not brought"]
    """``refused``: bytes that are not those that somebody vouches for."""
    why: Line | None = None
    """Of a file that was not brought or was refused."""
    address: Line | None = None
    """Where the bytes came from: ``url``, unless a mirror stood in for it."""
    on: Day | None = None
    """When the bytes were first seen."""
    size: Annotated[int, Field(gt=0)] | None = None
    """Bytes."""
    sha256: Sha256 | None = None
    etag: Line | None = None
    """As the server states it, where it was asked."""
    last_modified: Line | None = None
    container: Line | None = None
    """Format, and where the weights lie in it."""
    layout: Line | None = None
    """Null where no table names its keys."""
    keys: Annotated[int, Field(ge=0)] | None = None
    """Tensors."""
    dtypes: dict[str, int] = Field(default_factory=dict)
    """Tensors of each type."""
    training: tuple[Line, ...] = ()
    """What lies beside the weights: ``epoch``, ``optimizer_state``, ``cfg``."""
    epoch: int | None = None
    digest: Sha256 | None = None
    """Of the tensors under official keys; null where no table names them."""
    checks: tuple[Check, ...] = ()
    """``verify``'s, of the levels that were looked at."""

    @model_validator(mode="after")
    def _brought_is_known(self) -> Self:
        known = (self.sha256, self.size, self.address, self.on)
        if self.status == "brought" and None in known:
            raise ValueError("a file that was brought has a size, a sha256, an address and a day")
        if self.status != "brought" and (known != (None,) * 4 or self.digest or self.checks):
            raise ValueError("a file that was not brought has no size, no hash, no day, no checks")
        return self

    @property
    def failures(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.verdict == "fails")


class SeenModel(Record):
    """One model: both zoos' files, and what the preferred one computes."""

    name: Name
    files: tuple[SeenFile, ...]
    """As the manifest lists them, the preferred first."""
    tensors_equal: bool | None = None
    """Whether all files that were brought hold the same tensors; null with fewer than two."""
    differing: tuple[Line, ...] = ()
    """The first of the official keys whose tensors differ."""
    spec: tuple[Check, ...] = ()
    """``verify``'s checks that need no weights."""
    golden: Golden | None = None
    """Outputs of the preferred file for a drawn clip, and for drawn videos."""
    measured: Measured | None = None
    """The accuracy, where ``--data`` had the videos."""
    environment: dict[str, str]

    @property
    def preferred(self) -> SeenFile | None:
        return self.files[0] if self.files else None


class Attestation(Record):
    """Everything that one person saw; its own journal: models are added as they are done."""

    schema_version: Literal[1] = 1
    by: Annotated[Line, Field(min_length=2)]
    """Who looked, and how to reach them."""
    started: Line
    """UTC, ISO 8601."""
    finished: Line | None = None
    """Null of one that was interrupted: the same command goes on."""
    models: tuple[SeenModel, ...] = ()

    def model_named(self, name: str) -> SeenModel | None:
        return next((model for model in self.models if model.name == name), None)


def read_attestation(path: Path) -> Attestation:
    """The attestation in a file.

    Raises:
        AttestationError: it cannot be read, or is none; where, and what is wrong, is told.
    """
    raw: object = None
    try:
        raw = read_json(path)
        return Attestation.model_validate(raw)
    except (OSError, ValueError) as error:
        found = first_faults(error, within=raw) if isinstance(error, ValidationError) else error
        raise AttestationError(
            "not an attestation",
            where=path,
            expected="what 'ptv-hub attest' writes (docs/attestation.schema.json)",
            found=found,
        ) from error
