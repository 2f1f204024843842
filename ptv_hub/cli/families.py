"""How help is laid out: panels by what one wants to do, and no word that says nothing."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from copy import copy
from typing import Any, get_args, get_origin

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command_name
from typer.models import CommandInfo, TyperInfo

PANELS = {
    "Explore": ("list", "show", "identify", "env"),
    "Use": ("predict", "watch", "features", "recipes", "bench"),
    "Weights": ("fetch", "lock", "cache", "convert", "digest", "verify", "attest"),
    "Evaluate": ("eval", "data"),
    "Train": ("finetune", "train", "config"),
    "Publish": ("push", "export", "site"),
}
"""What a user wants to do -> the commands for it, in the order of the help."""

_VALUES = {
    **dict.fromkeys(("bool", "boolean"), ""),
    **dict.fromkeys(("int", "integer", "integer range"), "N"),
    **dict.fromkeys(("float", "float range"), "X"),
    **dict.fromkeys(("str", "text"), "TEXT"),
    **dict.fromkeys(("Path", "path"), "PATH"),
}
"""What typer, or click under an older one, calls a type -> what stands for a value of it."""


def panel_of(command: str) -> str | None:
    """The panel of a command."""
    return next((panel for panel, names in PANELS.items() if command in names), None)


def apart(help_text: str) -> tuple[str, list[str]]:
    """What a command's help says, and the command lines under its "Example:" or "Examples:"."""
    said, *below = re.split(r"^Examples?:$", inspect.cleandoc(help_text), flags=re.MULTILINE)
    joined = "".join(below).replace("\\\n", " ")
    return said.rstrip(), [" ".join(line.split()) for line in joined.splitlines() if line.strip()]


class Family(typer.Typer):
    """Commands whose help looks as all do."""

    def __init__(self, *, in_panels: bool = False, **facts: Any) -> None:
        """``in_panels``: not of those within a family, as ``cache list``."""
        super().__init__(**{"cls": _Group, **facts})
        self._in_panels = in_panels

    def command(self, name: str | None = None, **facts: Any) -> Callable[[Any], Any]:
        facts = {"cls": _Command, **facts}

        def registered(function: Any) -> Any:
            panel = panel_of(name or function.__name__) if self._in_panels else None
            return super(Family, self).command(name, rich_help_panel=panel, **facts)(function)

        return registered

    def only(self, name: str | None) -> Family:
        """The same with one of its commands, or with all where none is called so.

        typer makes every option of every command, which takes a third of the time of ``list``.
        """
        commands = [one for one in self.registered_commands if _name_of(one) == name]
        groups = [one for one in self.registered_groups if _name_of_group(one) == name]
        if not commands and not groups:
            return self
        alone = copy(self)
        alone.registered_commands, alone.registered_groups = commands, groups
        return alone


def _name_of(command: CommandInfo) -> str:
    return command.name or get_command_name(getattr(command.callback, "__name__", ""))


def _name_of_group(group: TyperInfo) -> str | None:
    return group.name or (group.typer_instance.info.name if group.typer_instance else None)


class _Command(TyperCommand):
    def get_params(self, ctx: Any) -> Any:
        return _plain(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """As typer writes it, with the examples in a panel, each a line as it is typed."""
        whole = self.help
        self.help, lines = apart(whole or "")
        try:
            super().format_help(ctx, formatter)
        finally:
            self.help = whole
        if lines:
            from rich import print as show
            from rich.panel import Panel
            from rich.text import Text

            shown = Text("\n".join(lines))
            show(Panel(shown, title="Examples", title_align="left", border_style="dim"))


class _Group(TyperGroup):
    def get_params(self, ctx: Any) -> Any:
        return _plain(super().get_params(ctx))

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of the panels; of a family as they were made."""
        known = super().list_commands(ctx)
        order = [name for names in PANELS.values() for name in names]
        return sorted(known, key=lambda name: order.index(name) if name in order else -1)


def _plain(params: list[Any]) -> list[Any]:
    for param in params:
        kind = "bool" if getattr(param, "is_flag", False) else _kind(param)
        if param.metavar is None and param.param_type_name == "option" and kind in _VALUES:
            param.metavar = _VALUES[kind]
        if param.param_type_name == "argument" and hasattr(param, "display_type_rich"):
            param.display_type_rich = _nothing  # <str> beside the name of each says nothing
    return params


def _kind(param: Any) -> str:
    described = getattr(param, "type_descriptor", None)
    if described is None:
        return str(param.type.name)
    if described.is_choice:
        return "choice"  # its words are shown
    annotation = described.annotation
    inner = get_args(annotation)[0] if get_origin(annotation) is list else annotation
    return str(getattr(inner, "__name__", ""))


def _nothing(ctx: Any) -> str:
    return ""
