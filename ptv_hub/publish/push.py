"""A model -> a repository of the Hugging Face Hub, with a card that says what was proven.

``prepare`` verifies the weights and writes the repository's files into a folder (which
``local-dir:`` loads), ``push`` sends those that the Hub does not have yet. The same weights
give the same bytes, so that pushing them again uploads nothing.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

from pydantic import ValidationError

from ptv_hub import markdown
from ptv_hub._version import __version__
from ptv_hub.errors import (
    CheckpointError,
    DataError,
    FetchError,
    MissingExtra,
    PtvHubError,
    UsageError,
)
from ptv_hub.evaluation.result import EvalResult
from ptv_hub.fetching import cache
from ptv_hub.files import atomic_write, new_folder, scratch_folder, write_text
from ptv_hub.models.builders import VideoModel
from ptv_hub.pages.figure import require_matplotlib
from ptv_hub.publish.card import card, license_markdown
from ptv_hub.publish.card_metadata import require_valid
from ptv_hub.publish.chart import Chart, accuracy_against_flops, png
from ptv_hub.publish.saved import is_as_loaded, loaded_from, save
from ptv_hub.publish.transformers_side import write_for_transformers
from ptv_hub.publish.upload import Pushed, require_allowed, upload
from ptv_hub.verification.keys import wanted
from ptv_hub.verification.records import VerifyReport
from ptv_hub.verification.walk import verify
from ptv_hub.weights.attribution import attribute
from ptv_hub.weights.load import require_fit
from ptv_hub.weights.named import named, weights_file
from ptv_hub.weights.opened import OpenedWeights
from ptv_hub.weights.repository import write_repository
from ptv_hub.zoo import repository
from ptv_hub.zoo.entry import Artifact, Entry
from ptv_hub.zoo.manifest import entries, known
from ptv_hub.zoo.records import first_fault
from ptv_hub.zoo.repository import (
    CARD_FILE,
    CHART_FILE,
    LICENSE_FILE,
    HubConfig,
    Provenance,
)

log = logging.getLogger("ptv_hub")


def assemble(
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
    with new_folder(folder) as place:  # before anything is fetched or verified
        return _assembled(item, place, repo_id, weights, results, progress)


def _assembled(
    item: Entry,
    folder: Path,
    repo_id: str,
    weights: str | os.PathLike[str] | None,
    results: str | os.PathLike[str] | None,
    progress: bool,
) -> HubConfig:
    measured = None if results is None else _measured(Path(results))
    path, source, vouched_by = _source(item, weights, progress)
    item = _without_repository(item)
    opened = OpenedWeights(path, item, checked=True)
    require_fit(opened.official, wanted(item), item, where=path)
    provenance = Provenance(
        source=source,
        sha256=opened.sha256,
        vouched_by=vouched_by or _publisher(item, opened.sha256),
        evidence=_evidence(item, opened),
        converted_by=f"ptv_hub {__version__}",
    )
    report = _verified(item, opened)
    config = write_repository(folder, item, opened.official, provenance, digest=opened.digest)
    write_for_transformers(folder, item)
    chart = _chart(item)
    text = card(item, config, report, repo_id=repo_id, chart=chart is not None, measured=measured)
    require_valid(text)
    write_text(folder / CARD_FILE, text)
    licence = f"# Licence of {markdown.text(item.name)}\n\n{license_markdown(item)}\n"
    write_text(folder / LICENSE_FILE, licence)
    _write_chart(folder / CHART_FILE, chart)
    return config


def _write_chart(path: Path, chart: Chart | None) -> None:
    """The picture, or none: one that an earlier push left would be sent along."""
    if chart is None:
        path.unlink(missing_ok=True)
        return
    with atomic_write(path) as temporary:
        temporary.write_bytes(png(chart))


def _verified(item: Entry, weights: OpenedWeights) -> VerifyReport:
    """What ``verify`` found. Raises CheckpointError where a check fails."""
    report = verify(item, weights=weights, progress=False)
    failed = [c for c in report.checks if c.verdict == "fails"]
    if failed:
        raise CheckpointError(
            f"the weights do not pass verify, and are not published as {item.name}",
            where=weights.path,
            found="; ".join(f"{c.level}, {c.name}: {c.found}" for c in failed[:3]),
            fix=f"'ptv-hub verify {item.name} --weights FILE' tells all",
        )
    return report


def _chart(item: Entry) -> Chart | None:
    """The models of the same data set, this one marked.

    ``None`` without published figures, and (with a word in the log) without matplotlib.
    """
    if item.published is None:
        return None
    try:
        require_matplotlib("the chart of the card")
    except MissingExtra as error:
        log.warning("the card has no chart: %s", error.fix)
        return None
    others = [e for e in entries() if e.dataset == item.dataset and e.name != item.name]
    return accuracy_against_flops([*others, item], highlight=item.name)


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


def _source(
    item: Entry, weights: str | os.PathLike[str] | None, progress: bool
) -> tuple[Path, str, str | None]:
    """Path of the weights, how the card names them, and who vouches for their hash."""
    if weights is not None:
        path = weights_file(weights, progress=progress)
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


def _evidence(item: Entry, weights: OpenedWeights) -> str:
    """On what grounds the file is this model's, not one with the same keys and shapes."""
    found = attribute(weights, item)
    if found.evidence is not None:
        return found.evidence
    if item.name in {other.name for other in known()}:
        likely = " or ".join(f"{c.name} (by {c.evidence})" for c in found.candidates)
        raise CheckpointError(
            f"the weights are not those of {item.name}",
            where=weights.path,
            found=likely or "no model's",
            fix="push it under its own name; 'ptv-hub identify FILE' says more",
        )
    return "keys and shapes"  # an entry of no manifest here


def push(
    model: VideoModel | Entry | str | os.PathLike[str],
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

    Args:
        model: an entry or what ``load`` takes; or a loaded model, with the numbers that it has now
            (as ``save`` writes it, called as the repository where it is one of its own).
        repo_id: where to: ``org/name``.
        weights: as of ``load``.
        results: the result of an evaluation, for the card, as ``prepare`` takes it.
        private: whether a repository that is made is private.
        revision: the branch, ``main`` if not given.
        create_pr: propose it as a pull request.
        dry_run: say what would be uploaded, and upload nothing.
        folder: keeps the files; without it they lie in a temporary one for as long as it takes.
        progress: show bars on stderr.

    Raises:
        PublishError: the Hub refuses, or cannot be reached.
        CheckpointError, FetchError: the weights cannot be had, or are not the model's.
        WriteError: the folder cannot be written.
    """
    require_allowed(repo_id, dry_run=dry_run)
    if isinstance(model, VideoModel) and not is_as_loaded(model):
        with scratch_folder() as scratch:
            save(model, scratch / "memory", name=repo_id.rpartition("/")[2])
            return push(
                f"local-dir:{scratch / 'memory'}",
                repo_id,
                results=results,
                private=private,
                revision=revision,
                create_pr=create_pr,
                dry_run=dry_run,
                folder=folder,
                progress=progress,
            )
    if isinstance(model, VideoModel):
        weights = loaded_from(model)
        model = model.entry
    asked = named(model)
    weights = weights if weights is not None else asked.file
    item = asked.entry
    with scratch_folder() if folder is None else nullcontext(Path(folder)) as where:
        assemble(item, where, repo_id=repo_id, weights=weights, results=results, progress=progress)
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
