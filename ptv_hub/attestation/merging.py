"""An attestation -> the manifests, the goldens and the README: all of it, or nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ptv_hub.attestation.contradictions import contradictions
from ptv_hub.attestation.records import Attestation, SeenFile, SeenModel, read_attestation
from ptv_hub.attestation.standing import with_standing
from ptv_hub.errors import AttestationError, UsageError
from ptv_hub.files import write_texts
from ptv_hub.text import Lines
from ptv_hub.verification import goldens
from ptv_hub.verification.goldens import ATTESTED_FILE, DRAWN_FILE, Golden
from ptv_hub.zoo.documents import read_json
from ptv_hub.zoo.entry import Attested, Entry
from ptv_hub.zoo.manifest import CORE
from ptv_hub.zoo.manifest_file import ManifestFile, entries_of, manifest_folder, read_manifest
from ptv_hub.zoo.manifest_text import manifest_text
from ptv_hub.zoo.records import first_faults

_SHOWN = 20


@dataclass(frozen=True)
class Project:
    """What is changed: a checkout of this project, or one like it."""

    root: Path

    @property
    def manifests(self) -> list[Path]:
        """In the order of a plain list."""
        found = [p for p in (self.root / "manifests").glob("*.json") if p.name != "schema.json"]
        core = [self.root / "manifests" / f"{name}.json" for name in CORE]
        return sorted(found, key=lambda p: (core.index(p) if p in core else len(core), p.name))

    @property
    def goldens(self) -> Path:
        """What drawn weights gave stands beside it."""
        return self.root / "ptv_hub" / "verification" / ATTESTED_FILE

    @property
    def readme(self) -> Path:
        return self.root / "README.md"


def this_project() -> Project:
    """The checkout that runs.

    Raises:
        UsageError: it is no checkout: a wheel has no README to keep true.
    """
    root = manifest_folder().parent
    if not (root / "README.md").is_file() or not (root / "ptv_hub").is_dir():
        raise UsageError(
            "an attestation is merged into a checkout of the project",
            where=root,
            fix="clone the repository, and run the command there; or --into DIR",
        )
    return Project(root)


@dataclass(frozen=True)
class Merged:
    """What a merge changed, and what it left out."""

    files: tuple[Path, ...]
    """Those that were written; none where all was known."""
    merged: tuple[str, ...]
    """``NAME: pyslowfast``: files whose hash the manifests now vouch for."""
    held_back: tuple[str, ...]
    """Files that were not taken, each with the reason."""


def merge(path: Path, project: Project, *, differing: bool = False) -> Merged:
    """Put what an attestation says into a project's manifests, goldens and README.

    Of each file that was brought from its own address and passes its checks the hash, the size
    and who saw it when; of the preferred one the digest, the golden outputs and the accuracy.
    Doing it again changes nothing.

    Args:
        differing: take models, too, whose two zoos hold other tensors.

    Raises:
        AttestationError: it is malformed or contradictory; nothing was changed.
        ManifestError: the project's manifests cannot be read.
        WriteError: a file could not be written; those written before are as they were.
    """
    made = read_attestation(path)
    items = {item.name: item for file in project.manifests for item in read_manifest(file)}
    known = _goldens(project)
    _refuse(path, made, items, known)
    held = {model.name: _held_back(model, differing) for model in made.models}
    taken = {m.name: [f for f in m.files if f.url not in held[m.name]] for m in made.models}
    texts = {file: _manifest(file, made, taken) for file in project.manifests}
    after = {item.name: item for file, text in texts.items() for item in _parsed(file, text, path)}
    texts[project.goldens] = _golden_text(made, taken, known)
    core = [item for item in after.values() if item.zoo is None and not item.demonstration]
    texts[project.readme] = with_standing(project.readme.read_text(encoding="utf-8"), core)
    changed = {f: text for f, text in texts.items() if _differs(f, text)}
    write_texts(changed)
    return Merged(
        tuple(changed),
        tuple(f"{name}: {file.zoo}" for name, files in taken.items() for file in files),
        tuple(why for reasons in held.values() for why in reasons.values()),
    )


def _goldens(project: Project) -> dict[str, Golden]:
    files = (project.goldens.with_name(DRAWN_FILE), project.goldens)
    shipped = goldens.shipped() if not files[0].exists() else {}
    read = [goldens.read_goldens(file) for file in files if file.exists()]
    return {**shipped, **{digest: one for some in read for digest, one in some.items()}}


def _refuse(
    path: Path, made: Attestation, items: Mapping[str, Entry], known: Mapping[str, Golden]
) -> None:
    found = contradictions(made, items, known)
    if not found:
        return
    more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    raise AttestationError(
        "an attestation contradicts itself, or what is known",
        where=f"{path}: {found[0].where}",
        expected=found[0].expected,
        found=Lines.of([found[0].found, *(one.told for one in found[1:_SHOWN]), *more]),
        fix="nothing was changed; have it made anew, or find out which is right",
    )


def _held_back(model: SeenModel, differing: bool) -> dict[str, str]:
    """Address of a file -> why it is not taken."""
    found = {}
    for file in model.files:
        why = _reason(model, file, differing)
        if why is not None:
            found[file.url] = f"{model.name}: {file.zoo}: {why}"
    return found


def _reason(model: SeenModel, file: SeenFile, differing: bool) -> str | None:
    if file.status != "brought":
        return f"{file.status}: {file.why}"
    if file.address != file.url:
        return f"its bytes came from elsewhere: {file.address}"
    if file.failures:
        check = file.failures[0]
        return f"{check.level}, {check.name}: expected {check.expected}, found {check.found}"
    if model.tensors_equal is False and not differing:
        keys = ", ".join(model.differing) or "not recorded"
        return f"the zoos' files hold other tensors ({keys}); --differing takes them"
    return None


# ---------------------------------------------------------------------------- new texts


def _manifest(path: Path, made: Attestation, taken: Mapping[str, Sequence[SeenFile]]) -> str:
    """The manifest's text, with what was taken; the very same where nothing of it was."""
    raw = read_json(path)
    before = json.dumps(raw)
    for place, row in enumerate(raw["entries"]):
        files = {file.url: file for file in taken.get(row["name"], ())}
        if not files:
            continue
        for artifact in row["artifacts"]:
            file = files.get(f"{raw['base_url']}/{artifact['path']}")
            if file is not None:
                _vouch(artifact, file, made.by)
        model = made.model_named(row["name"])
        assert model is not None, "files are taken of models alone"
        raw["entries"][place] = _row(row, model, files, made.by)
    if json.dumps(raw) == before:
        return path.read_text(encoding="utf-8")
    return manifest_text(raw)


def _vouch(artifact: dict[str, Any], file: SeenFile, by: str) -> None:
    said = f"attested on {file.on} by {by}, from {file.url}"
    before = artifact.get("hash_source")
    artifact |= {"size": file.size, "sha256": file.sha256}
    if before is None or said not in before:
        artifact["hash_source"] = said if before is None else f"{before}; {said}"


def _row(
    row: dict[str, Any], model: SeenModel, files: Mapping[str, SeenFile], by: str
) -> dict[str, Any]:
    """The row with the digest of its preferred file, and who saw it."""
    first = model.preferred
    if first is None or first.url not in files or first.digest is None:
        return row
    seen = Attested(by=by, on=first.on or "", measured=model.measured)
    new = {"digest": first.digest, "attested": seen.model_dump(mode="json", exclude_none=True)}
    if row.get("attested") is not None and model.measured is None:
        new["attested"] = row["attested"]  # what was known before, with a number perhaps
    kept = {key: value for key, value in row.items() if key not in new}
    after = "num_params" if "num_params" in kept else list(kept)[-1]
    return {
        key: value
        for name, old in kept.items()
        for key, value in ((name, old), *(new.items() if name == after else ()))
    }


def _parsed(path: Path, text: str, attestation: Path) -> tuple[Entry, ...]:
    """The entries of a manifest's new text: what is written can be read."""
    try:
        return entries_of(ManifestFile.model_validate_json(text), path)
    except ValidationError as error:
        raise AttestationError(
            "an attestation would make a manifest that does not hold together",
            where=f"{attestation}, {path}",
            found=first_faults(error),
            fix="nothing was changed",
        ) from error


def _golden_text(
    made: Attestation, taken: Mapping[str, Sequence[SeenFile]], known: Mapping[str, Golden]
) -> str:
    attested = {digest: one for digest, one in known.items() if one.attested_by is not None}
    for model in made.models:
        if model.golden is not None and model.preferred in taken[model.name]:
            attested.setdefault(model.golden.digest, model.golden)
    return goldens.to_json(tuple(sorted(attested.values(), key=lambda one: one.entry)))


def _differs(path: Path, text: str) -> bool:
    if not path.exists():
        return text != goldens.to_json(())  # no file is as good as an empty one
    return path.read_text(encoding="utf-8") != text
