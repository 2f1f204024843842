"""What the command line says: a line at a time, and nothing that would command the terminal."""

from __future__ import annotations

import typer

from ptv_hub.errors import PtvHubError
from ptv_hub.text import visible


def tell(line: str) -> None:
    """Write a line of talk to stderr; a line's end within it is written out, and makes no other."""
    typer.echo(visible(line), err=True)


def tell_error(error: PtvHubError) -> None:
    """Write an error to stderr, a fact a line: errors see to their lines themselves."""
    typer.echo(f"ptv-hub: {error}", err=True)


def tell_lines(text: str) -> None:
    """Write several lines of talk to stderr, an error within them: its lines are its own."""
    typer.echo(visible(text, keep="\n"), err=True)


def put(line: object) -> None:
    """Write a line of data to stdout, as ``tell``."""
    typer.echo(visible(str(line)))


def put_document(text: str) -> None:
    """Write a text of several lines to stdout whose parts were escaped as they were joined."""
    typer.echo(visible(text, keep="\n\t"))
