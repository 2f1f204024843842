"""The command line: parse, call one function, print, exit code.

Data goes to stdout, talk and progress to stderr. Exit codes: 0 done; 1 could not do what
was asked; 2 misuse of the command line; 3 ``verify`` found a check that does not hold; 70 a
bug of ptv_hub, which is said as such (``--debug`` shows where).
Commands import what they need when they run, so that ``--help`` and ``list`` stay fast.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ptv_hub._version import __version__
from ptv_hub.cli import (
    attest,
    bench,
    cache,
    data,
    evaluate,
    features,
    fetch,
    predict,
    publish,
    recipes,
    train,
    verify,
    watch,
    weights,
    zoo,
)
from ptv_hub.cli.families import Family
from ptv_hub.cli.talk import tell_error, tell_lines
from ptv_hub.errors import PtvHubError, Terminated, UsageError, WriteError
from ptv_hub.text import shortened

DEBUG_VARIABLE = "PTV_HUB_DEBUG"
_BUG = 70  # sysexits.h: an internal software error

app = Family(
    in_panels=True,
    name="ptv-hub",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="The home of the PyTorchVideo / PySlowFast model zoo.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ptv_hub {__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    manifest: Annotated[
        list[Path] | None,
        typer.Option(help="A manifest of one's own (file or folder); may be given again."),
    ] = None,
    lock: Annotated[
        Path | None,
        typer.Option(help="A lock file ('ptv-hub lock'): what it does not name is not fetched."),
    ] = None,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Show where a bug of ptv_hub happened; also PTV_HUB_DEBUG=1."),
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print and exit.")
    ] = False,
) -> None:
    if manifest:
        # By the environment, so that worker processes see the same zoo.
        variable = "PTV_HUB_MANIFESTS"
        before = [os.environ[variable]] if os.environ.get(variable) else []
        os.environ[variable] = os.pathsep.join([*map(str, manifest), *before])
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"
    if lock:
        os.environ["PTV_HUB_LOCK"] = str(lock.absolute())


FAMILIES = (
    *(zoo, predict, watch, features, recipes, bench, fetch, cache, weights),
    *(verify, attest, evaluate, data, train, publish),
)
for family in FAMILIES:
    family.register(app)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    for name in ("stdout", "stderr"):  # closed by who called: `ptv-hub list >&-`
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - as long as the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # of a name that is no text in its encoding
            stream.reconfigure(errors="backslashreplace")
    if not sys.warnoptions:  # other packages' warnings, here and in processes of ours
        warnings.simplefilter("ignore")
        os.environ.setdefault("PYTHONWARNINGS", "ignore")
    try:
        _run()
    except PtvHubError as error:
        tell_error(error)
        ended = 143 if isinstance(error, Terminated) else 1
        sys.exit(2 if isinstance(error, UsageError) else ended)
    except BrokenPipeError:  # the reader of a pipe has had enough: `ptv-hub list | head`
        _say_no_more()
        sys.exit(1)
    except Exception as error:  # the last line of defence: one message, no traceback
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            _say_no_more()
            tell_error(WriteError.because(error, error.filename or "standard output"))
            sys.exit(1)
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            told = shortened(str(error.filename), 200)
            tell_error(UsageError("no file can be called so", where=told, found=error.strerror))
            sys.exit(2)
        if os.environ.get(DEBUG_VARIABLE):
            tell_lines(traceback.format_exc())
        tell_lines(str(_bug(error)))
        sys.exit(_BUG)


_VALUED = ("--manifest", "--lock")
"""Options before the command that are followed by a value."""


def typed(words: Sequence[str]) -> str | None:
    """The command among the words of a command line, if one is typed."""
    rest = iter(words)
    for word in rest:
        if word in _VALUED:
            next(rest, None)
        elif not word.startswith("-"):
            return word
    return None


def _run() -> None:
    """The command, and that what it printed has arrived: a full disk is told of while it can be."""
    try:
        app.only(typed(sys.argv[1:]))()
    finally:
        sys.stdout.flush()


def _say_no_more() -> None:
    """What is still to be printed goes nowhere, as nobody takes it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _bug(error: Exception) -> PtvHubError:
    """What is said of an error that nobody foresaw."""
    at = traceback.extract_tb(error.__traceback__)[-1]
    return PtvHubError(
        "ptv-hub: this is a bug of ptv_hub, please report",
        where=f"{Path(at.filename).name}:{at.lineno}",
        found=f"{type(error).__name__}: {error}",
        fix=f"report it with the command and what 'ptv-hub env' says; {DEBUG_VARIABLE}=1 or "
        "'ptv-hub --debug ...' shows where it happened",
    )
