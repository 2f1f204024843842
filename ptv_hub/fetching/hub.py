"""Models on the Hugging Face Hub, or in a folder of the same form: an address -> entry and file.

``hf-hub:org/name`` and ``hf-hub:org/name@revision`` are repositories of the Hub, as
``ptv-hub push`` makes them; ``local-dir:PATH`` is a folder with the same files. Their
``config.json`` holds the entry, so that models of no manifest load as well, and the hash of
``model.safetensors``, without which nothing of it is used. Cache, tokens and retries are
``huggingface_hub``'s own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from ptv_hub.errors import (
    FetchError,
    HashMismatch,
    ManifestError,
    OfflineError,
    PtvHubError,
    UsageError,
)
from ptv_hub.fetching import cache, hub_errors, offline
from ptv_hub.fetching.hub_errors import Refusal
from ptv_hub.files import expanded, sha256_of
from ptv_hub.zoo.documents import read_json
from ptv_hub.zoo.entry import Artifact, Entry
from ptv_hub.zoo.manifest import find
from ptv_hub.zoo.records import first_faults
from ptv_hub.zoo.repository import CONFIG_FILE, FOLDER, HUB, WEIGHTS_FILE, HubConfig, is_address


def entry(name: str) -> Entry:
    """The entry that ``name`` means: of a zoo name, in any spelling, or of an address.

    ``x3d_m``, ``X3D_M`` and ``Kinetics/X3D_M`` are one entry of the manifests
    (``manifest.resolve``). Of ``hf-hub:org/name`` and ``local-dir:PATH`` the config is read; their
    entry names the repository's file, at the commit that was read, as its first artifact:
    ``fetch`` brings it. A folder with such a config may be named as it is, and comes first.

    Raises:
        AmbiguousName, UnknownName: of a zoo name.
        UsageError: an address of no valid form.
        OfflineError, FetchError: the config cannot be brought here.
        ManifestError: it cannot be read, or does not hold together.
    """
    if not is_address(name) and (expanded(name) / CONFIG_FILE).is_file():
        name = f"{FOLDER}{name}"  # what is there comes first
    return read_config(name)[1] if is_address(name) else find(name)


def read_config(address: str) -> tuple[HubConfig, Entry]:
    """The config of an address, and the entry in it. Raises as ``entry``."""
    place = _parsed(address)
    path = _file(place, CONFIG_FILE, progress=False)
    if place.folder is None and path.parent.parent.name == "snapshots":
        # huggingface_hub's cache keeps commits apart: what else is read comes from the same one.
        place = place._replace(revision=path.parent.name)
    try:
        config = HubConfig.model_validate(read_json(path))
        return config, config.restored(place.address)
    except OSError as error:
        raise ManifestError("a config cannot be read", where=path, found=error) from error
    except ValidationError as error:
        raise _no_config(address, first_faults(error, most=3)) from error
    except (ValueError, KeyError) as error:
        raise _no_config(address, str(error)) from error


def _no_config(address: str, found: str) -> ManifestError:
    return ManifestError(
        "the repository holds no model of ptv_hub",
        where=f"{CONFIG_FILE} of {address}",
        expected="a config as 'ptv-hub push' writes it",
        found=found,
    )


def download(artifact: Artifact, *, progress: bool = True) -> Path:
    """The file of an artifact whose ``base_url`` is an address; size and hash are checked.

    Raises:
        HashMismatch: other bytes than those that the config states, or another hash in the lock.
        OfflineError, FetchError: it cannot be brought here, or a lock file does not name it.
    """
    if cache.expectation(artifact) is None:
        raise FetchError(
            f"the lock file does not name {artifact.url}",
            where=f"{os.environ[cache.LOCK_VARIABLE]} (from {cache.LOCK_VARIABLE} or --lock)",
            fix=f"'ptv-hub lock {artifact.base_url}' writes one that does",
        )
    path = _file(_parsed(artifact.base_url), artifact.path, progress=progress)
    size = path.stat().st_size
    if size != artifact.size:
        raise _other_bytes(artifact, path, f"{artifact.size} bytes", f"{size} bytes")
    sha256 = sha256_of(path)
    if sha256 != artifact.sha256:
        raise _other_bytes(artifact, path, f"sha256 {artifact.sha256}", f"sha256 {sha256}")
    return path


def is_here(artifact: Artifact) -> bool:
    """Whether the file lies in a folder or in huggingface_hub's cache already."""
    place = _parsed(artifact.base_url)
    if place.folder is not None:
        return True
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(place.repo_id, artifact.path, revision=place.revision)
    return isinstance(found, str)


def _other_bytes(artifact: Artifact, path: Path, expected: str, found: str) -> HashMismatch:
    fix = "push it again with 'ptv-hub push'; weights changed by hand need a config of their own"
    if artifact.base_url.startswith(HUB):
        fix = f"delete {path.resolve()} and load again; if it stays so, tell the repository's owner"
    return HashMismatch(
        f"{artifact.path} is not the file that {CONFIG_FILE} speaks of",
        where=f"{artifact.base_url} ({path})",
        expected=expected,
        found=found,
        fix=fix,
    )


# ---------------------------------------------------------------------------- addresses


class _Place(NamedTuple):
    repo_id: str
    revision: str | None
    folder: Path | None

    @property
    def address(self) -> str:
        if self.folder is not None:
            return f"{FOLDER}{self.folder}"
        return f"{HUB}{self.repo_id}" + (f"@{self.revision}" if self.revision else "")


def _parsed(address: str) -> _Place:
    if address.startswith(FOLDER):
        path = address.removeprefix(FOLDER)
        if not path:
            raise UsageError(
                "an address without a folder", found=address, expected="local-dir:PATH"
            )
        return _Place("", None, expanded(path))
    repo_id, at, revision = address.removeprefix(HUB).partition("@")
    if not repo_id or (at and not revision):
        raise _no_address(address, "nothing after the '@'" if at else "no name")
    return _Place(repo_id, revision or None, None)


def _no_address(address: str, found: str) -> UsageError:
    return UsageError(
        "not the address of a repository",
        where=address,
        expected="hf-hub:org/name or hf-hub:org/name@revision",
        found=found,
    )


def _file(place: _Place, name: str, *, progress: bool) -> Path:
    """A file of a repository in huggingface_hub's cache, or of a folder."""
    if place.folder is None:
        return _from_hub(place, name, progress)
    path = place.folder / name
    if not path.is_file():
        raise FetchError(
            f"the folder holds no {name}",
            where=place.folder,
            expected=f"{CONFIG_FILE} and {WEIGHTS_FILE}, as in a repository of 'ptv-hub push'",
            found="no such folder" if not place.folder.is_dir() else "a folder without it",
        )
    return path


def _from_hub(place: _Place, name: str, progress: bool) -> Path:
    try:
        import huggingface_hub
    except ImportError as error:
        raise FetchError(
            "models of the Hugging Face Hub need huggingface_hub, which is not installed",
            where=place.address,
            fix="pip install huggingface_hub",
        ) from error

    variable = offline.forbidden_by()
    try:
        if variable is not None:
            return _cached(place, name, variable)
        with _bars(progress):
            return Path(
                huggingface_hub.hf_hub_download(
                    place.repo_id, name, revision=place.revision, library_name="ptv_hub"
                )
            )
    except hub_errors.families() as error:
        raise _why(place, name, error) from error


def _cached(place: _Place, name: str, variable: str) -> Path:
    """A file of huggingface_hub's cache. Its download, even of local files only, asks the Hub."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(place.repo_id, name, revision=place.revision)
    if isinstance(found, str):
        return Path(found)
    raise OfflineError(
        f"{place.address} is not in the cache of huggingface_hub, and {variable} is set",
        where=f"{name} of {place.address}",
        fix=f"load it once where there is a network, or unset {variable}",
    )


@contextmanager
def _bars(wanted: bool) -> Iterator[None]:
    """huggingface_hub's progress bars, or none, for a while."""
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if wanted or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _why(place: _Place, name: str, error: Exception) -> PtvHubError:
    """Our error for what huggingface_hub said."""
    where = f"{name} of {place.address}"
    found = hub_errors.first_line(error)
    refusal, words = hub_errors.in_words(
        error, hub_errors.FETCHING, name=name, revision=place.revision or "main"
    )
    if refusal is Refusal.NO_ADDRESS:
        return _no_address(place.address, found)
    expected = f"{CONFIG_FILE} and {WEIGHTS_FILE}, as 'ptv-hub push' makes them"
    return FetchError(
        words.what,
        where=where,
        expected=expected if refusal is Refusal.NO_FILE else None,
        found=found,
        fix=words.fix,
    )
