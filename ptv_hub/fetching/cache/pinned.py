"""What is known of the bytes: ``pins.json`` says what every file was when it first arrived."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from ptv_hub.errors import FetchError
from ptv_hub.fetching.cache.places import folder, locked
from ptv_hub.files import write_text
from ptv_hub.zoo.records import Record, Sha256, first_fault


class Pin(Record):
    """What a file was when its bytes were last hashed here."""

    sha256: Sha256
    size: Annotated[int, Field(ge=0)]
    mtime_ns: int
    """With ``size``, tells whether the file on disk is still the one that was hashed."""
    since: str
    """The day the bytes were first seen here, UTC."""
    source: str
    """The address that the bytes came from, a mirror's too."""


class _Pins(Record):
    schema_version: Literal[1] = 1
    files: dict[str, Pin] = Field(default_factory=dict)


def _pins_path() -> Path:
    return folder() / "pins.json"


def pins() -> dict[str, Pin]:
    """All pins of this cache, by key.

    Raises:
        FetchError: the record was damaged.
    """
    path = _pins_path()
    try:
        return dict(_Pins.model_validate_json(path.read_bytes()).files)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValidationError) as error:
        raise FetchError(
            "the record of the cache cannot be read",
            where=path,
            found=first_fault(error),
            fix="restore it; or remove it, and every file is pinned anew on its next use",
        ) from error


def add_pin(name: str, pin: Pin) -> Pin:
    """Record what a file is; of one that was seen before with these bytes, the first day stays.

    Returns the pin as it is recorded.
    """
    path = _pins_path()
    with locked(path):
        known = pins()
        before = known.get(name)
        if before is not None and before.sha256 == pin.sha256:
            pin = pin.model_copy(update={"since": before.since})
        known[name] = pin
        _write_pins(path, known)
    return pin


def _write_pins(path: Path, known: dict[str, Pin]) -> None:
    files = {name: known[name] for name in sorted(known)}
    write_text(path, _Pins(files=files).model_dump_json(indent=1) + "\n")


def pin_of(path: Path, sha256: str, source: str) -> Pin:
    """The pin of a file that lies at ``path`` and has just been hashed."""
    facts = path.stat()
    today = datetime.now(timezone.utc).date().isoformat()
    return Pin(
        sha256=sha256, size=facts.st_size, mtime_ns=facts.st_mtime_ns, since=today, source=source
    )


def forget(names: list[str]) -> None:
    """Drop the pins of these keys: their files are pinned anew on their next use."""
    path = _pins_path()
    with locked(path):
        known = pins()
        if any(name in known for name in names):
            _write_pins(path, {n: pin for n, pin in known.items() if n not in names})
