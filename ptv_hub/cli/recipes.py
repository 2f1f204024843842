"""``ptv-hub recipes``: how others extract their features, with the source of each number."""

from __future__ import annotations

from typing import Annotated

import typer

from ptv_hub.cli.options import Json
from ptv_hub.cli.tables import print_json, print_table


def register(app: typer.Typer) -> None:
    app.command()(recipes)


def recipes(
    name: Annotated[str | None, typer.Argument(help="A recipe, or a TOML file.")] = None,
    json: Json = False,
) -> None:
    """List the settings of known feature sets, or show one with the source of each number.

    Examples:

        ptv-hub recipes

        ptv-hub recipes ego4d
    """
    from ptv_hub.inference.recipes import RECIPES, recipe_of

    if name is None:
        if json:
            print_json([one.model_dump(mode="json") for one in RECIPES.values()])
            return
        rows = [[one.name, one.model or "", one.about] for one in RECIPES.values()]
        print_table(["recipe", "model", "what it is"], rows)
        return
    one = recipe_of(name)
    if json:
        print_json(one.model_dump(mode="json"))
        return
    told = [("model", one.model or "any")]
    told += [(key, str(value)) for key, value in one.windows.model_dump().items()]
    told += [("crops", str(one.crops) if one.crops else "none: whole frames")]
    told += [("take", ", ".join(one.take)), ("files", f"{one.format}, {one.dtype}, {one.key}")]
    told += [("source", source) for source in one.sources]
    told += [("differs", difference) for difference in one.differs]
    print_table(["", one.name], told)
