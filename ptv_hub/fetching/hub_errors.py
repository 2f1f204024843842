"""What the Hugging Face Hub refuses, and why, in words: the same when fetching and when pushing."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import NamedTuple


class Refusal(Enum):
    """Why the Hub did not do what was asked."""

    NO_ADDRESS = auto()
    """What was asked for can be no name of a repository."""
    UNKNOWN_USER = auto()
    FORBIDDEN = auto()
    NO_REPOSITORY = auto()
    NO_REVISION = auto()
    NO_FILE = auto()
    NOT_FOUND = auto()
    """Of the last three, which one is not said."""
    BUSY = auto()
    MOVED_ON = auto()
    TOO_LARGE = auto()
    TOO_MANY = auto()
    NO_CONNECTION = auto()
    OTHER = auto()


_BY_STATUS = {
    401: Refusal.UNKNOWN_USER,
    403: Refusal.FORBIDDEN,
    404: Refusal.NOT_FOUND,
    409: Refusal.BUSY,
    412: Refusal.MOVED_ON,
    413: Refusal.TOO_LARGE,
    429: Refusal.TOO_MANY,
}


class Words(NamedTuple):
    """What failed, and what to do."""

    what: str
    fix: str | None = None


FETCHING: Mapping[Refusal, Words] = {
    Refusal.FORBIDDEN: Words(
        "the repository does not let you in",
        "ask for access on its page, then 'hf auth login' or set HF_TOKEN",
    ),
    Refusal.NO_REPOSITORY: Words(
        "there is no such repository, or it is private",
        "check its name; for a private one, 'hf auth login' or set HF_TOKEN",
    ),
    Refusal.NO_REVISION: Words(
        "the repository has no revision {revision}", "name a branch, a tag or a commit of it"
    ),
    Refusal.NO_FILE: Words("the repository holds no {name}"),
    Refusal.TOO_MANY: Words(
        "the Hub answers no more for now: too many requests (429)",
        "wait some minutes; with a token ('hf auth login') the limit is higher",
    ),
    Refusal.OTHER: Words(
        "a file could not be fetched from the Hugging Face Hub",
        "try again; what has arrived is kept",
    ),
}
# The Hub says 401 to strangers of what is not there, too.
FETCHING = {**FETCHING, Refusal.UNKNOWN_USER: FETCHING[Refusal.NO_REPOSITORY]}

_AGAIN = "push again; what has arrived is not sent twice"

PUSHING: Mapping[Refusal, Words] = {
    Refusal.NO_ADDRESS: Words("not the name of a repository", "name it as org/name"),
    Refusal.UNKNOWN_USER: Words(
        "the Hub does not know you (401)",
        "'hf auth login', or set HF_TOKEN to a token that may write",
    ),
    Refusal.FORBIDDEN: Words(
        "the Hub does not let you write there (403)",
        "use a token with write access, and an organisation that you are a member of",
    ),
    Refusal.NOT_FOUND: Words(
        "there is no such repository or revision (404)",
        "check the name; for a pull request it must exist",
    ),
    Refusal.BUSY: Words(
        "somebody else is changing the repository (409)",
        "look at its history, then push again",
    ),
    Refusal.MOVED_ON: Words(
        "the repository has changed meanwhile (412)", "look at its history, then push again"
    ),
    Refusal.TOO_LARGE: Words(
        "the Hub finds the file too large (413)", "ask the Hub's support about its limits"
    ),
    Refusal.TOO_MANY: Words(
        "the Hub answers no more for now: too many requests (429)",
        "wait some minutes, then push again",
    ),
    Refusal.NO_CONNECTION: Words(
        "a model could not be pushed: no connection to the Hub, or it broke", _AGAIN
    ),
    Refusal.OTHER: Words("a model could not be pushed", _AGAIN),
}
PUSHING = {
    **PUSHING,
    **dict.fromkeys(
        (Refusal.NO_REPOSITORY, Refusal.NO_REVISION, Refusal.NO_FILE), PUSHING[Refusal.NOT_FOUND]
    ),
}


def families() -> tuple[type[Exception], ...]:
    """What huggingface_hub and the HTTP library below it raise."""
    from huggingface_hub import errors

    # HTTPError is the HTTP library's: requests', of newer versions httpx's.
    return (OSError, ValueError, RuntimeError, vars(errors)["HTTPError"])


def in_words(
    error: BaseException, words: Mapping[Refusal, Words], **facts: str
) -> tuple[Refusal, Words]:
    """What the error is, and what it is in these words, the facts filled in."""
    refusal = refusal_of(error)
    what, fix = words.get(refusal) or words[Refusal.OTHER]
    status = status_of(error)
    if refusal is Refusal.OTHER and status is not None:
        what = f"{what} ({status})"
    return refusal, Words(what.format(**facts), fix)


def refusal_of(error: BaseException) -> Refusal:
    """What an error of huggingface_hub, or one that came from such an error, is."""
    from huggingface_hub import errors

    if isinstance(error, errors.HFValidationError):
        return Refusal.NO_ADDRESS
    if isinstance(error, errors.LocalEntryNotFoundError):  # first: it is an EntryNotFoundError
        cause = error.__cause__
        return Refusal.OTHER if cause is None else refusal_of(cause)
    by_class = (
        (errors.GatedRepoError, Refusal.FORBIDDEN),  # first: it is a RepositoryNotFoundError
        (errors.RevisionNotFoundError, Refusal.NO_REVISION),
        (errors.EntryNotFoundError, Refusal.NO_FILE),
    )
    for kind, refusal in by_class:
        if isinstance(error, kind):
            return refusal
    status = status_of(error)
    if isinstance(error, errors.RepositoryNotFoundError) and status != 401:
        return Refusal.NO_REPOSITORY
    if status is None:
        return Refusal.NO_CONNECTION if is_connection(error) else Refusal.OTHER
    return _BY_STATUS.get(status, Refusal.OTHER)


def status_of(error: BaseException) -> int | None:
    """HTTP status behind an error, or behind one that it came from."""
    cause: BaseException | None = error
    while cause is not None:
        status: int | None = getattr(getattr(cause, "response", None), "status_code", None)
        if status is not None:
            return status
        cause = cause.__cause__ or cause.__context__
    return None


def is_connection(error: BaseException) -> bool:
    """Whether it, or what it came from, is of the network and not of what was asked."""
    from huggingface_hub import errors

    kinds = (OSError, vars(errors)["HTTPError"])
    return isinstance(error, kinds) or isinstance(error.__cause__, kinds)


def first_line(error: BaseException) -> str:
    """What the error, or the one that it came from, says in a line."""
    error = error.__cause__ or error
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
