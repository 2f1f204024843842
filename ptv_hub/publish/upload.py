"""A folder with a repository's files -> the Hugging Face Hub: only what it does not have yet.

What stands there is asked first, so that an unchanged repository gets no commit at all. The
client is ``huggingface_hub``'s; here its refusals become one clear error each.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ptv_hub._version import __version__
from ptv_hub.errors import PtvHubError, PublishError
from ptv_hub.fetching import hub, hub_errors, offline
from ptv_hub.fetching.hub_errors import Refusal
from ptv_hub.files import sha256_of
from ptv_hub.zoo.records import Record
from ptv_hub.zoo.repository import FILES

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo, HfApi


class FileState(Record):
    name: str
    size: int
    """Bytes."""
    state: Literal["uploaded", "unchanged", "would be uploaded"]


class Pushed(Record):
    """What a push did, or would do."""

    name: str
    """The entry's."""
    repo_id: str
    """``org/name``."""
    url: str
    """Where it is read."""
    digest: str
    """Of the tensors."""
    files: tuple[FileState, ...]
    """Each file, and whether it was uploaded."""
    created: bool | None
    """Whether the repository was not there before; ``None`` where the Hub could not be asked."""
    commit: str | None
    """What the repository stands at; ``None`` for a dry run."""
    pull_request: str | None
    """Its address, where one was made."""
    dry_run: bool
    """Whether nothing was uploaded."""


def upload(
    folder: str | os.PathLike[str],
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
    dry_run: bool = False,
) -> Pushed:
    """Send a folder of ``prepare`` to the Hub, all in one commit; unchanged files stay.

    Args:
        folder: with the files of ``FILES``.
        repo_id: ``org/name``; made if it is not there.
        private: make it private. One that is public already is refused.
        revision: a branch; made from ``main`` if it is not there.
        create_pr: open a pull request in place of a commit to the branch.
        dry_run: only say what would be done.

    Raises:
        PublishError: the Hub refuses, or the connection broke. Nothing is half done: files
            appear with the commit, all at once.
    """
    folder = Path(folder)
    config, item = hub.read_config(f"local-dir:{folder}")
    paths = [folder / name for name in FILES if (folder / name).is_file()]
    with _refusals(repo_id):
        api = _api()
        names = [p.name for p in paths]
        state = _asked(api, repo_id, revision, names, without=dry_run)
        if private and state.public:
            raise PublishError(
                "the repository is public already",
                where=repo_id,
                expected="a private one",
                fix="make it private in its settings first, or leave --private out",
            )
        changed = [p for p in paths if not _same(p, state.oids.get(p.name))]
        pushed = Pushed(
            name=item.name,
            repo_id=repo_id,
            url=f"{api.endpoint}/{repo_id}",
            digest=config.weights.digest,
            files=tuple(_state(p, p in changed, dry_run) for p in paths),
            created=None if state.exists is None else not state.exists,
            commit=None if dry_run else state.head,
            pull_request=None,
            dry_run=dry_run,
        )
        if dry_run or (state.exists and not changed):
            return pushed
        if not state.exists and not create_pr:
            api.create_repo(repo_id, private=private, exist_ok=True)
        if revision and not state.has_revision and not create_pr:
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        done = _commit(api, repo_id, changed, item.name, state, revision, create_pr)
        return pushed.model_copy(update={"commit": done.oid, "pull_request": done.pr_url})


def require_allowed(repo_id: str, *, dry_run: bool) -> None:
    """That a push is not in vain: what is known without asking the Hub.

    Raises:
        PublishError: no name of a repository; or, unless only to be told, no network or no token.
    """
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    with _refusals(repo_id):
        validate_repo_id(repo_id)
        if dry_run:
            return
        _require_network(repo_id)
        if _no_token(_api()):
            words = hub_errors.PUSHING[Refusal.UNKNOWN_USER]
            raise PublishError(words.what, where=repo_id, found="no token", fix=words.fix)


def _require_network(repo_id: str) -> None:
    variable = offline.forbidden_by()
    if variable is not None:
        raise PublishError(
            f"nothing is pushed while {variable} is set", where=repo_id, fix=f"unset {variable}"
        )


def _state(path: Path, changed: bool, dry_run: bool) -> FileState:
    to_do: Literal["would be uploaded", "uploaded"] = "would be uploaded" if dry_run else "uploaded"
    return FileState(
        name=path.name, size=path.stat().st_size, state=to_do if changed else "unchanged"
    )


def _api() -> HfApi:
    from huggingface_hub import HfApi

    return HfApi(library_name="ptv_hub", library_version=__version__)


def _asked(
    api: HfApi, repo_id: str, revision: str | None, names: list[str], *, without: bool
) -> _Remote:
    """What stands there; ``without`` a network it is unknown, and no error."""
    if not without:
        _require_network(repo_id)
    variable = offline.forbidden_by()
    try:
        return _Remote(exists=None) if variable else _Remote.of(api, repo_id, revision, names)
    except Exception as error:
        if without and hub_errors.refusal_of(error) is Refusal.NO_CONNECTION:
            return _Remote(exists=None)
        raise


class _Remote(Record):
    """What stands in a repository."""

    exists: bool | None
    has_revision: bool = False
    public: bool = False
    head: str | None = None
    oids: dict[str, str] = Field(default_factory=dict)
    """sha256 of large files, git's sha1 of others."""

    @classmethod
    def of(cls, api: HfApi, repo_id: str, revision: str | None, names: list[str]) -> _Remote:
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
        from huggingface_hub.hf_api import RepoFile

        try:
            info = api.model_info(repo_id, revision=revision)
        except RevisionNotFoundError:
            whole = api.model_info(repo_id)
            return cls(exists=True, public=not whole.private)
        except RepositoryNotFoundError as error:
            if error.response.status_code == 401 and _no_token(api):
                raise
            return cls(exists=False)
        found = api.get_paths_info(repo_id, names, revision=info.sha)
        files = [file for file in found if isinstance(file, RepoFile)]
        return cls(
            exists=True,
            has_revision=True,
            public=not info.private,
            head=info.sha,
            oids={f.path: f.lfs.sha256 if f.lfs else f.blob_id for f in files},
        )


def _no_token(api: HfApi) -> bool:
    from huggingface_hub import get_token

    return not (api.token or get_token())


def _same(path: Path, oid: str | None) -> bool:
    if oid is None:
        return False
    if len(oid) == 64:
        return sha256_of(path) == oid
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == oid


def _commit(
    api: HfApi,
    repo_id: str,
    paths: Sequence[Path],
    name: str,
    state: _Remote,
    revision: str | None,
    create_pr: bool,
) -> CommitInfo:
    from huggingface_hub import CommitOperationAdd

    return api.create_commit(
        repo_id,
        [CommitOperationAdd(path.name, path) for path in paths],
        commit_message=f"Publish {name} with ptv_hub {__version__}",
        revision=revision,
        create_pr=create_pr,
        # Somebody else's commit in between is an error, not overwritten.
        parent_commit=state.head if not create_pr else None,
    )


@contextmanager
def _refusals(repo_id: str) -> Iterator[None]:
    """Turn what huggingface_hub raises into one clear error."""
    try:
        yield
    except PtvHubError:
        raise
    except hub_errors.families() as error:
        refusal, words = hub_errors.in_words(error, hub_errors.PUSHING)
        raise PublishError(
            words.what,
            where=repo_id,
            expected="org/name" if refusal is Refusal.NO_ADDRESS else None,
            found=hub_errors.first_line(error),
            fix=words.fix,
        ) from error
