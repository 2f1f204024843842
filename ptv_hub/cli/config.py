"""``ptv-hub config``: a model as PySlowFast writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ptv_hub.cli.options import Opts, RequiredName
from ptv_hub.cli.talk import put_document
from ptv_hub.cli.which_model import asked

if TYPE_CHECKING:
    from ptv_hub.zoo.entry import Entry
    from ptv_hub.zoo.recipe import Recipe


def config(
    name: RequiredName,
    opts: Opts = None,
    complete: Annotated[
        bool, typer.Option("--complete", help="Write PySlowFast's defaults, too.")
    ] = False,
    native: Annotated[
        bool, typer.Option("--native", help="Of PySlowFast's own network, not of its wrapper.")
    ] = False,
) -> None:
    """Write the YAML with which PySlowFast builds, trains and tests a model.

    A model that is not of the zoo gets PySlowFast's default recipe.

    Examples:

        ptv-hub config X3D_M

        ptv-hub config SSv2/SLOW_8x8_R50 MODEL.NUM_CLASSES 12 > mine.yaml

        ptv-hub config X3D_M --native > X3D_M.yaml
    """
    from ptv_hub.zoo.pyslowfast import Config, Paths, changed, to_native_yaml, to_yaml
    from ptv_hub.zoo.recipe import recipe_of

    item = asked(name).entry
    settings = Config(entry=item, recipe=recipe_of(item) or _default(item), paths=Paths())
    settings = changed(settings, opts) if opts else settings
    write = to_native_yaml if native else to_yaml
    put_document(write(settings, complete=complete).removesuffix("\n"))


def _default(item: Entry) -> Recipe:
    from ptv_hub.zoo.recipe import Recipe

    several = item.protocol.metric == "mean_average_precision"
    return Recipe(loss="bce_logit" if several else "cross_entropy")
