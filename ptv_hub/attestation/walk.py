"""From model to model: fetch both zoos' files, look, run, keep what was seen, and make room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from ptv_hub import environment
from ptv_hub.attestation.bringing import bring, drop
from ptv_hub.attestation.looking import differing, golden, looked_at
from ptv_hub.attestation.measuring import Videos, measured
from ptv_hub.attestation.records import Attestation, SeenFile, SeenModel, read_attestation
from ptv_hub.errors import AttestationError, CheckpointError
from ptv_hub.files import write_text
from ptv_hub.models.builders import VideoModel
from ptv_hub.runs.database import alone
from ptv_hub.verification.goldens import Golden
from ptv_hub.verification.spec import check_spec
from ptv_hub.weights.load import with_weights
from ptv_hub.weights.opened import OpenedWeights
from ptv_hub.zoo.entry import Entry, Measured


@dataclass(frozen=True)
class Asked:
    """How an attestation is made."""

    by: str
    """Who looks."""
    out: Path
    """Its file, and its journal: what stands in it is not done again."""
    delete_after: bool = False
    """Remove a model's files once it is done: at most two lie on the disk."""
    videos: Videos | None = None
    progress: bool = False


def attest(
    items: Sequence[Entry], asked: Asked, *, on_model: Callable[[SeenModel], object] | None = None
) -> Attestation:
    """Look at every file of the entries, and write what was seen after each model.

    A killed run goes on at the model it was at, and its download where it was; files that could
    not be had are tried again. ``on_model`` is called with each that is done.

    Raises:
        AttestationError: the file is there and is none, or somebody else's.
        EvaluationError: another process writes it, or a journal of ``--data`` does not fit.
        WriteError: it, the cache or temporary files cannot be written.
        DataError: of the videos.
    """
    with ExitStack() as stack:
        alone(asked.out, stack)
        made = _begun(asked)
        for item in items:
            seen = _model(item, made.model_named(item.name), asked)
            made = _with(made, seen)
            write_attestation(asked.out, made)
            if asked.delete_after:
                drop(item, seen.files)
            if on_model is not None:
                on_model(seen)
        made = made.model_copy(update={"finished": _now()})
        write_attestation(asked.out, made)
    return made


def write_attestation(path: Path, made: Attestation) -> None:
    """Write it, whole or not at all. Raises WriteError."""
    write_text(path, made.model_dump_json(indent=1) + "\n")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _begun(asked: Asked) -> Attestation:
    if not asked.out.exists():
        return Attestation(by=asked.by, started=_now())
    before = read_attestation(asked.out)
    if before.by != asked.by:
        raise AttestationError(
            "the file is somebody else's attestation",
            where=asked.out,
            expected=f"by {before.by}",
            found=f"by {asked.by}",
            fix="give the same --by to go on, or another file",
        )
    return before.model_copy(update={"finished": None})


def _with(made: Attestation, seen: SeenModel) -> Attestation:
    names = [model.name for model in made.models]
    if seen.name not in names:
        return made.model_copy(update={"models": (*made.models, seen)})
    models = tuple(seen if model.name == seen.name else model for model in made.models)
    return made.model_copy(update={"models": models})


def _model(item: Entry, before: SeenModel | None, asked: Asked) -> SeenModel:
    kept = {} if before is None else {f.url: f for f in before.files if f.status == "brought"}
    files: list[SeenFile] = []
    paths: list[Path] = []
    for artifact in item.artifacts:
        seen, path = kept.get(artifact.url), None
        if seen is None:
            seen, path = bring(item, artifact, progress=asked.progress)
        if path is not None:
            seen = looked_at(item, seen, path, whole=_new(seen, path, item, files))
            paths.append(path)
        files.append(seen)
    digests = [file.digest for file in files if file.digest is not None]
    equal = None if len(digests) < 2 else len(set(digests)) == 1
    found = SeenModel(
        name=item.name,
        files=tuple(files),
        tensors_equal=equal,
        differing=_differing(item, paths, before) if equal is False else (),
        spec=tuple(check_spec(item)),
        golden=None if before is None else before.golden,
        measured=None if before is None else before.measured,
        environment=_environment() if paths or before is None else before.environment,
    )
    return _run(item, found, asked)


def _new(seen: SeenFile, path: Path, item: Entry, files: Sequence[SeenFile]) -> bool:
    """Whether the network is to be run with this file: no file before it held the same tensors."""
    try:
        found = OpenedWeights(path, item).digest
    except CheckpointError:
        return True  # verify says what is wrong with it
    return all(file.digest != found for file in files)


def _differing(item: Entry, paths: Sequence[Path], before: SeenModel | None) -> tuple[str, ...]:
    """Of the files that are here; of those an earlier run looked at, what that run found."""
    if len(paths) < 2:
        return () if before is None else before.differing
    one, other = (OpenedWeights(path, item).official for path in paths[:2])
    return differing(one, other)


def _run(item: Entry, seen: SeenModel, asked: Asked) -> SeenModel:
    """With what the preferred file computes, where that is not known yet."""
    first = seen.preferred
    if first is None or first.digest is None:
        return seen.model_copy(update={"golden": None, "measured": None})
    known = seen.golden is not None and seen.golden.digest == first.digest
    wants_videos = asked.videos is not None and seen.measured is None
    if known and not wants_videos:
        return seen
    model = _loaded(item, first, progress=asked.progress)
    if model is None:
        return seen.model_copy(update={"golden": None, "measured": None})
    by = f"{asked.by}, {first.on}"
    outputs: Golden | None = seen.golden
    if not known:
        outputs = golden(model, first.digest, url=first.url, by=by)
    number: Measured | None = seen.measured
    if asked.videos is not None and wants_videos:
        number = measured(model, asked.videos, progress=asked.progress)
    return seen.model_copy(update={"golden": outputs, "measured": number})


def _loaded(item: Entry, first: SeenFile, *, progress: bool) -> VideoModel | None:
    """The model with the preferred file; ``None`` where it does not fit it, as its checks say."""
    from ptv_hub.fetching.artifacts import fetch
    from ptv_hub.weights.admission import fetched_origin

    if any(check.level == "keys" for check in first.failures):
        return None
    alone = item.model_copy(update={"artifacts": item.artifacts[:1]})
    fetched = fetch(alone, progress=progress)
    try:
        model = with_weights(item, OpenedWeights(fetched.path, item))
    except CheckpointError:
        return None
    model.origin = fetched_origin(item, fetched)
    return model


def _environment() -> dict[str, str]:
    return {
        **environment.versions("torch", "av", "torchvision"),
        **environment.system(),
        "threads": str(environment.threads()),
    }
