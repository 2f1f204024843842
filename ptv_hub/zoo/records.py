"""What all records are: frozen, parsed once, unknown fields refused; and their faults in words."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Record(BaseModel):
    """Base of all records: frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


def first_fault(error: Exception) -> str:
    """Why a record could not be read: the first of its faults, and where it is."""
    return first_faults(error, most=1)


def first_faults(error: Exception, *, most: int = 5, within: object = None) -> str:
    """Why a record could not be read: its faults, and where each is, in one line.

    Of a list's item that has a name ``within`` the data that was read, the name is told in
    place of its number.
    """
    if not isinstance(error, ValidationError):
        return next(iter(str(error).splitlines()), type(error).__name__)
    told = ((_place(problem["loc"], within), problem["msg"]) for problem in error.errors()[:most])
    return "; ".join(f"{place}: {fault}" if place else fault for place, fault in told)


def _place(location: tuple[int | str, ...], data: object) -> str:
    words: list[str] = []
    for step in location:
        data = _item(data, step)
        name = _item(data, "name") if isinstance(step, int) else None
        if name is None:
            words.append(str(step))
        else:
            words[-1:] = [str(name)]
    return ".".join(words)


def _item(data: object, step: int | str) -> object:
    if isinstance(step, int):
        return data[step] if isinstance(data, list) and step < len(data) else None
    return data.get(step) if isinstance(data, dict) else None
