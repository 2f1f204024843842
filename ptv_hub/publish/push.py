"""A model -> a repository of the Hugging Face Hub, with a card that says what was proven.

``prepare`` verifies the weights and writes the repository's files into a folder (which
``local-dir:`` loads), ``push`` sends those that the Hub does not have yet. The same weights
give the same bytes, so that pushing them again uploads nothing.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ptv_hub._version import __version__
from ptv_hub.errors import (
    CheckpointError,
    DataError,
    FetchError,
    PtvHubError,
    UsageError,
    WriteError,
)
from ptv_hub.evaluation.result import EvalResult
from ptv_hub.fetching import cache, hub
from ptv_hub.files import atomic_write, sha256_of
from ptv_hub.models.builders import build
from ptv_hub.models.digest import digest
from ptv_hub.publish.card import card, check, license_text
from ptv_hub.publish.chart import accuracy_against_flops, png
from ptv_hub.publish.upload import Pushed, upload
from ptv_hub.verification.walk import verify
from ptv_hub.weights import checkpoint, layouts
from ptv_hub.weights.identify import candidates
from ptv_hub.weights.load import load_weights
from ptv_hub.zoo import repository
from ptv_hub.zoo.entry import Artifact, Entry, first_fault
from ptv_hub.zoo.manifest import entries
from ptv_hub.zoo.repository import (
    CARD_FILE,
    CHART_FILE,
    CONFIG_FILE,
    LICENSE_FILE,
    WEIGHTS_FILE,
    HubConfig,
    Provenance,
    WeightsFile,
)


def prepare(
    item: Entry,
    folder: str | os.PathLike[str],
    *,
    repo_id: str,
    weights: str | os.PathLike[str] | None = None,
    results: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> HubConfig:
    """Write a repository's files into a folder: weights, config, card, licence, chart.

    Args:
        item: the entry that the weights are of.
        folder: is made if it is not there; other files in it are left alone.
        repo_id: where the card says that the model is.
        weights: a local file in either layout and format; the entry's own is fetched without.
        results: the ``result.json`` of an evaluation of these very weights, for the card.
        progress: show a bar on stderr while fetching.

    Raises:
        UsageError: the results are of other weights.
        DataError: they cannot be read.
        CheckpointError: the file cannot be used, is not of this model, or fails a check of
            ``verify``.
        FetchError: the weights cannot be brought here.
        WriteError: the folder cannot be written.
    """
    folder = Path(folder)
    path, source, vouched_by = _source(item, weights, progress)
    item = _without_repository(item)
    file = checkpoint.read(path)
    official = layouts.to_official(file.tensors)
    load_weights(build(item, device="meta"), official, where=path)
    sha256, found_digest = sha256_of(path), digest(official)
    evidence = _evidence(item, path, file, official, sha256, found_digest)
    vouched_by = vouched_by or _publisher(item, sha256)
    report = verify(item, weights=path, progress=False)
    failed = [c for c in report.checks if c.verdict == "fails"]
    if failed:
        raise CheckpointError(
            f"the weights do not pass verify, and are not published as {item.name}",
            where=path,
            found="; ".join(f"{c.level}, {c.name}: {c.found}" for c in failed[:3]),
            fix=f"'ptv-hub verify {item.name} --weights FILE' tells all",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError.because(error, folder) from error
    target = folder / WEIGHTS_FILE
    # Only what follows from the weights goes in: the same ones give the same file, whatever
    # file they were read from, and are not uploaded twice. All else stands in the config.
    metadata = {"entry": item.name, "layout": layouts.OFFICIAL, "digest": found_digest}
    checkpoint.write(target, official, metadata=metadata)
    config = HubConfig.of(
        item,
        WeightsFile(size=target.stat().st_size, sha256=sha256_of(target), digest=found_digest),
        Provenance(
            source=source,
            sha256=sha256,
            vouched_by=vouched_by,
            evidence=evidence,
            converted_by=f"ptv_hub {__version__}",
        ),
    )
    peers = [other for other in entries() if other.dataset == item.dataset]
    chart = accuracy_against_flops(
        [*(p for p in peers if p.name != item.name), item], highlight=item.name
    )
    measured = None if results is None else _measured(Path(results))
    text = card(item, config, report, repo_id=repo_id, chart=chart is not None, measured=measured)
    check(text)
    _write(folder / CONFIG_FILE, (config.model_dump_json(indent=2) + "\n").encode())
    _write(folder / CARD_FILE, text.encode())
    _write(folder / LICENSE_FILE, f"# Licence of {item.name}\n\n{license_text(item)}\n".encode())
    if chart is not None:
        _write(folder / CHART_FILE, png(chart))
    return config


def _measured(path: Path) -> EvalResult:
    try:
        return EvalResult.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataError(
            "the results of an evaluation cannot be read",
            where=path,
            found=first_fault(error),
            expected="the result.json that 'ptv-hub eval' writes",
        ) from error


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def _source(
    item: Entry, weights: str | os.PathLike[str] | None, progress: bool
) -> tuple[Path, str, str | None]:
    """Path of the weights, how the card names them, and who vouches for their hash."""
    if weights is not None:
        path = hub.local_file(weights, progress=progress)
        return path, _told(os.fspath(weights)), None
    from ptv_hub.fetching.artifacts import fetch

    fetched = fetch(item, progress=progress)
    if repository.is_address(fetched.artifact.base_url):
        return fetched.path, _told(fetched.artifact.base_url), None
    known = fetched.artifact.sha256 is not None
    return fetched.path, _origin(fetched.artifact), fetched.vouched_by if known else None


def _told(source: str) -> str:
    """How a card names a source: the Hub is public, a path may tell more than its owner wants."""
    if source.startswith("hf-hub:"):
        return source
    kind = "folder" if repository.is_address(source) else "file"
    return f"local {kind} {Path(source.removeprefix('local-dir:')).name}"


def _without_repository(item: Entry) -> Entry:
    """The entry without what a repository says of its own file: that vouches for nothing."""
    others = tuple(a for a in item.artifacts if not repository.is_address(a.base_url))
    if others == item.artifacts:
        return item
    return item.model_copy(update={"artifacts": others, "digest": None})


def _origin(artifact: Artifact) -> str:
    """Where the bytes in the cache really came from: a mirror is said to be one."""
    pin = cache.pins().get(cache.key(artifact))
    if pin is None or pin.source == artifact.url:
        return artifact.url
    return f"{Path(artifact.path).name} from a mirror of {artifact.base_url}"


def _publisher(item: Entry, sha256: str) -> str | None:
    return next((a.hash_source for a in item.artifacts if a.sha256 == sha256), None)


def _evidence(
    item: Entry,
    path: Path,
    file: checkpoint.Checkpoint,
    official: dict[str, Any],
    sha256: str,
    found_digest: str,
) -> str:
    """On what grounds the file is this model's, not one with the same keys and shapes."""
    likely = candidates(file, official, sha256=sha256, found_digest=found_digest)
    mine = next((c.evidence for c in likely if c.name == item.name), None)
    if mine is not None:
        return mine
    if item.name in {other.name for other in entries()}:
        raise CheckpointError(
            f"the weights are not those of {item.name}",
            where=path,
            found=" or ".join(f"{c.name} (by {c.evidence})" for c in likely) or "no model's",
            fix="push it under its own name; 'ptv-hub identify FILE' says more",
        )
    return "keys and shapes"  # an entry of no manifest here


def push(
    item: Entry,
    repo_id: str,
    *,
    weights: str | os.PathLike[str] | None = None,
    results: str | os.PathLike[str] | None = None,
    private: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
    dry_run: bool = False,
    folder: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Pushed:
    """Publish a model: ``prepare`` into a folder, then ``upload`` what the Hub does not have.

    ``folder`` keeps the files; without it they lie in a temporary one for as long as it takes.
    All else as ``prepare`` and ``upload``.
    """
    with tempfile.TemporaryDirectory(prefix="ptv_hub_") as temporary:
        where = Path(folder) if folder is not None else Path(temporary)
        prepare(item, where, repo_id=repo_id, weights=weights, results=results, progress=progress)
        return upload(
            where,
            repo_id,
            private=private,
            revision=revision,
            create_pr=create_pr,
            dry_run=dry_run,
        )


def repository_of(item: Entry, pattern: str) -> str:
    """The repository of an entry: ``org/{name}`` with its name, and so for ``org`` alone.

    Raises:
        UsageError: a pattern that names one repository for all.
    """
    if "/" not in pattern:
        pattern += "/{name}"
    if "{name}" not in pattern:
        raise UsageError(
            "all models cannot go into one repository", found=pattern, expected="org/{name}"
        )
    return pattern.replace("{name}", item.name)


def push_all(
    items: Sequence[Entry],
    pattern: str,
    *,
    private: bool = False,
    dry_run: bool = False,
    progress: bool = True,
) -> Iterator[Pushed | tuple[Entry, PtvHubError]]:
    """Push every entry to the repository that ``pattern`` names (``org/{name}``), one by one.

    Yields what was done with each; an entry whose weights cannot be had or used is told, and
    the next one follows. What is on the Hub already is not uploaded again: run anew, it
    resumes.

    Raises:
        PublishError: the Hub refuses; it would refuse the next one too.
    """
    for item in items:
        try:
            yield push(
                item,
                repository_of(item, pattern),
                private=private,
                dry_run=dry_run,
                progress=progress,
            )
        except (FetchError, CheckpointError) as error:
            yield item, error
